//! Makes a connection from the environment. Credentials stay inside it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut, S3CopyIfNotExists};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::memory::InMemory;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use crate::error_kind::{ErrorKind, Failure};

/// How long a request is retried, unless `GIMLET_STORE_PATIENCE` (in seconds) says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one request may take, body and all: 16 MiB at 56 kB per second.
const REQUEST: Duration = Duration::from_secs(300);

/// The address where an Amazon machine asks for its credentials.
const METADATA: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254)), 80);

/// The environment variables that hold credentials, or name their source.
const CREDENTIALS: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_METADATA_ENDPOINT",
];

/// The store of a bucket, as the environment describes it.
pub(super) fn connect(scheme: &str, bucket: &str) -> io::Result<Arc<dyn ObjectStore>> {
    if bucket.is_empty() {
        return Err(Failure::failed(format!("`{scheme}://` needs the name of a bucket")).into());
    }
    // Sets the cryptography for connections. It fails if the program that uses this library has chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store: object_store::Result<Arc<dyn ObjectStore>> = match scheme {
        "s3" => s3(bucket)?.build().map(|it| Arc::new(it) as _),
        "gs" => {
            let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
            let endpoint = builder.get_config_value(&GoogleConfigKey::BaseUrl);
            let client = client(endpoint.as_deref());
            let builder = builder.with_retry(retry()).with_client_options(client);
            builder.build().map(|it| Arc::new(it) as _)
        }
        "az" => {
            let builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket);
            let plain = variable("AZURE_STORAGE_ENDPOINT").or_else(|| variable("AZURE_ENDPOINT"));
            let client = client(plain.as_deref());
            let builder = builder.with_retry(retry()).with_client_options(client);
            builder.build().map(|it| Arc::new(it) as _)
        }
        _ => Ok(Arc::new(InMemory::new())),
    };
    store.map_err(|error| {
        let what = format!("the environment does not say how to reach it: {error}");
        Failure::new(ErrorKind::Unauthorized, what).into()
    })
}

fn s3(bucket: &str) -> io::Result<AmazonS3Builder> {
    let builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
    let unsigned = builder.get_config_value(&AmazonS3ConfigKey::SkipSignature);
    let unsigned = unsigned.is_some_and(|it| it == "true");
    let named = CREDENTIALS.into_iter().any(|name| variable(name).is_some());
    if !named && !unsigned && !metadata_answers() {
        let what = "there are no credentials in the environment";
        return Err(Failure::new(ErrorKind::Unauthorized, what).into());
    }
    Ok(builder
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
        .with_retry(retry())
        .with_client_options(client(endpoint.as_deref())))
}

/// Whether the metadata address answers. A process without credentials would wait for it for minutes.
fn metadata_answers() -> bool {
    TcpStream::connect_timeout(&METADATA, Duration::from_secs(1)).is_ok()
}

/// Settings of a connection. Plain HTTP is allowed when you name it: a server in the same rack, or on this machine.
fn client(endpoint: Option<&str>) -> ClientOptions {
    let is_http = endpoint.is_some_and(|it| it.starts_with("http://"));
    let client = ClientOptions::new().with_allow_http(is_http).with_timeout(REQUEST);
    client.with_connect_timeout(Duration::from_secs(5))
}

fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        },
        max_retries: 12,
        retry_timeout: patience(),
    }
}

/// How long a request is retried.
pub(super) fn patience() -> Duration {
    let said = variable("GIMLET_STORE_PATIENCE").and_then(|it| it.parse().ok());
    said.map_or(PATIENCE, Duration::from_secs)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|it| !it.is_empty())
}
