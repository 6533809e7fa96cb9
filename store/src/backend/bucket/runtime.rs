//! The threads that serve connections, and functions that wait for requests.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// The runtime for connections. It serves them even while no thread waits, so that they can be reused.
static RUNTIME: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let name = "object-storage";
    Builder::new_multi_thread().worker_threads(2).thread_name(name).enable_all().build().ok()
});

/// Waits for answers, for at most `limit`.
pub(super) fn wait_within<T>(limit: Duration, requests: impl Future<Output = T>) -> Option<T> {
    let runtime = RUNTIME.as_ref()?;
    runtime.block_on(async { tokio::time::timeout(limit, requests).await.ok() })
}

/// Waits for the answer to a request.
pub(super) fn wait_for<T>(
    request: impl Future<Output = object_store::Result<T>>,
) -> object_store::Result<T> {
    match &*RUNTIME {
        Some(runtime) => runtime.block_on(request),
        None => Err(object_store::Error::Generic {
            store: "any",
            source: "no thread could be started for it".into(),
        }),
    }
}
