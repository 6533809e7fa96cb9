//! Says to the linker that Python's own functions are those of the interpreter that loads this library.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
