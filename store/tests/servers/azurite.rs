//! What a client of Azurite has to know, and a container in it.

use object_store::azure::{AzureAccessKey, AzureAuthorizer, AzureCredential};
use object_store::client::{HttpRequest, HttpRequestBody};

use crate::servers::Installed;

/// The account that every copy of it has, and its key, which is in its manual.
pub const ACCOUNT: &str = "devstoreaccount1";
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

pub fn endpoint(server: &Installed) -> String {
    format!("{}/{ACCOUNT}", server.url())
}

/// Makes the container `bucket`, which takes a signature.
pub fn make_container(server: &Installed) {
    let credential = AzureCredential::AccessKey(AzureAccessKey::try_new(KEY).unwrap());
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.method_mut() = "PUT".parse().unwrap();
    let path = format!("{ACCOUNT}/bucket?restype=container");
    *request.uri_mut() = format!("{}/{path}", server.url()).parse().unwrap();
    AzureAuthorizer::new(&credential, ACCOUNT).try_authorize(&mut request).unwrap();
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    let headers = request.headers().iter();
    let headers: Vec<_> =
        headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
    server.make_bucket(&path, &headers);
}
