"""The version of this package, which is that of the `gimlet` program, and of the protocol between them."""

VERSION = "0.1.0"

PROTOCOL = 1
