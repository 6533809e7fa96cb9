//! The servers that tests start, as the `object_store` crate meets them: the small one does what S3 does,
//! and behaves as badly as it is told to; of those of others, what they do is what is known of them.

#[path = "servers/azurite.rs"]
mod azurite;
mod servers;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder, S3CopyIfNotExists};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, Result, RetryConfig};
use servers::{Conditional, Fault, Installed, Kind, Knobs, SmallS3, When};
use tokio::runtime::Runtime;

/// Whose cryptography clients use: no other than the store's is compiled.
fn cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn builder(url: &str) -> AmazonS3Builder {
    cryptography();
    AmazonS3Builder::new()
        .with_endpoint(url)
        .with_allow_http(true)
        .with_bucket_name("bucket")
        .with_region("us-east-1")
        .with_access_key_id("somebody")
        .with_secret_access_key("a-secret")
        .with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
}

fn never_again(builder: AmazonS3Builder) -> AmazonS3 {
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    builder.with_retry(retry).build().unwrap()
}

fn store(server: &SmallS3) -> AmazonS3 {
    never_again(builder(&server.url()))
}

fn run<T>(work: impl Future<Output = T>) -> T {
    Runtime::new().unwrap().block_on(work)
}

async fn create(store: &impl ObjectStore, key: &str, bytes: &str) -> Result<()> {
    let payload = PutPayload::from(bytes.to_string());
    store.put_opts(&Path::from(key), payload, PutMode::Create.into()).await.map(|_| ())
}

async fn read(store: &impl ObjectStore, key: &str) -> Result<String> {
    let bytes = store.get(&Path::from(key)).await?.bytes().await?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// How many of 16 that create an object at once are told that they did.
async fn winners(store: Arc<dyn ObjectStore>, key: &str) -> usize {
    let racers = (0..16).map(|nth| {
        let (store, key) = (store.clone(), Path::from(key));
        tokio::spawn(async move {
            let payload = PutPayload::from(format!("of {nth}"));
            store.put_opts(&key, payload, PutMode::Create.into()).await.is_ok()
        })
    });
    let mut winners = 0;
    for racer in racers.collect::<Vec<_>>() {
        winners += usize::from(racer.await.unwrap());
    }
    winners
}

/// Parts of 5 MiB and a rest, as one object.
async fn multipart(store: &impl ObjectStore, key: &str) -> Result<usize> {
    let mut upload = store.put_multipart(&Path::from(key)).await?;
    for (byte, size) in [(1u8, 5 << 20), (2, 5 << 20), (3, 1000)] {
        upload.put_part(vec![byte; size].into()).await?;
    }
    upload.complete().await?;
    let bytes = store.get_range(&Path::from(key), (5 << 20) - 1..(5 << 20) + 1).await?;
    assert_eq!(bytes[..], [1, 2]);
    Ok(store.head(&Path::from(key)).await?.size as usize)
}

#[test]
fn it_creates_once() {
    let server = SmallS3::start(Knobs::default());
    run(async {
        let store = store(&server);
        create(&store, "a/one", "1").await.unwrap();
        let again = create(&store, "a/one", "2").await.unwrap_err();
        assert!(matches!(again, Error::AlreadyExists { .. }), "{again}");
        assert_eq!(read(&store, "a/one").await.unwrap(), "1");
        let store: Arc<dyn ObjectStore> = Arc::new(store);
        for round in 0..5 {
            assert_eq!(winners(store.clone(), &format!("race {round}")).await, 1);
        }
    });
    let log = server.log();
    assert_eq!(log.iter().filter(|it| it.create && it.status == 412).count(), 1 + 5 * 15);
    assert!(log.iter().all(|it| !it.key.contains("secret") && !it.query.contains("secret")));
}

#[test]
fn it_lists_page_by_page() {
    let server = SmallS3::start(Knobs::default());
    let keys = ["a/1", "a/2 & 3", "a/b/1", "a/b/2", "a/c/1", "ab", "b"];
    run(async {
        let store = store(&server);
        for key in keys {
            create(&store, key, key).await.unwrap();
        }
        (0..2500).for_each(|nth| {
            server.put_behind("bucket", &format!("many/{nth:04}"), Some(vec![]));
        });
        let listed = |prefix: &str| {
            let objects = store.list(Some(&Path::from(prefix)));
            objects.map_ok(|it| it.location.to_string()).try_collect::<Vec<_>>()
        };
        assert_eq!(listed("many").await.unwrap().len(), 2500);
        assert_eq!(listed("a").await.unwrap(), keys[..5]);
        let here = store.list_with_delimiter(Some(&Path::from("a"))).await.unwrap();
        assert_eq!(here.common_prefixes, [Path::from("a/b"), Path::from("a/c")]);
        let objects: Vec<_> = here.objects.iter().map(|it| it.location.to_string()).collect();
        assert_eq!(objects, keys[..2]);
        assert_eq!(here.objects[1].size, 7);
        let after = store.list_with_offset(Some(&Path::from("a")), &Path::from("a/b/1"));
        let after: Vec<_> = after.try_collect().await.unwrap();
        assert_eq!(after.len(), 2);
        let all = store.list(Some(&Path::from("many"))).map_ok(|it| it.location).boxed();
        let deleted: Vec<_> = store.delete_stream(all).try_collect().await.unwrap();
        assert_eq!(deleted.len(), 2500);
        store.delete(&Path::from("ab")).await.unwrap();
    });
    assert_eq!(server.objects("bucket").len(), keys.len() - 1);
}

#[test]
fn it_reads_ranges_and_takes_parts() {
    let server = SmallS3::start(Knobs::default());
    run(async {
        let store = store(&server);
        create(&store, "a", "0123456789").await.unwrap();
        assert_eq!(store.get_range(&Path::from("a"), 3..6).await.unwrap()[..], *b"345");
        let head = store.head(&Path::from("a")).await.unwrap();
        assert_eq!(head.size, 10);
        let gone = read(&store, "b").await.unwrap_err();
        assert!(matches!(gone, Error::NotFound { .. }), "{gone}");
        assert_eq!(multipart(&store, "parts").await.unwrap(), (10 << 20) + 1000);
        let (from, to) = (Path::from("parts"), Path::from("copied"));
        store.copy_if_not_exists(&from, &to).await.unwrap();
        let again = store.copy_if_not_exists(&Path::from("a"), &to).await.unwrap_err();
        assert!(matches!(again, Error::AlreadyExists { .. }), "{again}");
        store.copy(&Path::from("a"), &Path::from("c")).await.unwrap();
        assert_eq!(read(&store, "c").await.unwrap(), "0123456789");
        let mut upload = store.put_multipart(&Path::from("d")).await.unwrap();
        upload.put_part("part".into()).await.unwrap();
        upload.abort().await.unwrap();
    });
    let objects = server.objects("bucket");
    assert!(objects["copied"] == objects["parts"]);
    assert!(!objects.contains_key("d"));
    assert_eq!(server.uploads(), 0);
}

#[test]
fn it_behaves_as_badly_as_it_is_told_to() {
    let knobs = |conditional| Knobs { conditional, ..Knobs::default() };
    let server = SmallS3::start(knobs(Conditional::Ignored));
    run(async {
        let store = store(&server);
        create(&store, "a", "1").await.unwrap();
        create(&store, "a", "2").await.unwrap();
        server.set(knobs(Conditional::CheckedFirst(Duration::from_millis(200))));
        create(&store, "a", "3").await.unwrap_err();
        assert!(winners(Arc::new(store), "race").await > 1);
    });
    let fault = |when, fault, of: &str| {
        let faults = vec![(when, fault, of.to_string())];
        server.set(Knobs { faults, ..Knobs::default() });
    };
    run(async {
        let once = store(&server);
        fault(When::Nth(0), Fault::DropBefore, "PUT");
        create(&once, "before", "1").await.unwrap_err();
        assert!(!server.objects("bucket").contains_key("before"));
        fault(When::Nth(0), Fault::DropAfter, "PUT");
        create(&once, "after", "1").await.unwrap_err();
        assert!(server.objects("bucket").contains_key("after"));
        fault(When::Nth(0), Fault::CutShort, "GET");
        read(&once, "after").await.unwrap_err();
        fault(When::Every(2), Fault::SlowDown, "");
        read(&once, "after").await.unwrap();
        read(&once, "after").await.unwrap_err();
        // Who tries again does not notice.
        let patient = builder(&server.url()).build().unwrap();
        assert_eq!(read(&patient, "after").await.unwrap(), "1");
        assert_eq!(read(&patient, "after").await.unwrap(), "1");
        fault(When::From(1), Fault::DropBefore, "");
        read(&once, "after").await.unwrap();
        read(&once, "after").await.unwrap_err();
        read(&once, "after").await.unwrap_err();
        server.set(Knobs { clock: -3600, ..Knobs::default() });
        create(&once, "old", "1").await.unwrap();
        let [old, new] = [once.head(&"old".into()).await, once.head(&"after".into()).await];
        let apart = new.unwrap().last_modified - old.unwrap().last_modified;
        assert!((3500..3700).contains(&apart.num_seconds()), "{apart}");
    });
    assert_eq!(server.log().iter().filter(|it| it.status == 503).count(), 2);
}

#[test]
fn it_refuses_who_may_not_and_what_is_not_there() {
    let server = SmallS3::start(Knobs::default());
    run(async {
        for (key, code) in [("wrong", "InvalidAccessKeyId"), ("wrong-secret", "SignatureDoes")] {
            let store = never_again(builder(&server.url()).with_access_key_id(key));
            let error = create(&store, "a", "1").await.unwrap_err();
            assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");
            assert!(error.to_string().contains(code), "{error}");
        }
        let store = never_again(builder(&server.url()).with_bucket_name("missing"));
        let error = create(&store, "a", "1").await.unwrap_err();
        assert!(error.to_string().contains("NoSuchBucket"), "{error}");
    });
    assert!(server.objects("bucket").is_empty());
}

/// A server of others that is installed, with an empty bucket, and what it does is known of:
/// whether of those that create an object one does, and whether it copies so too.
fn other(kind: Kind, server: &Installed) -> (Arc<dyn ObjectStore>, bool, bool) {
    match kind {
        Kind::Moto => {
            server.make_bucket("bucket", &[]);
            (Arc::new(never_again(builder(&server.url()))), true, true)
        }
        Kind::S3rver => {
            let builder = builder(&server.url()).with_access_key_id("S3RVER");
            let store = never_again(builder.with_secret_access_key("S3RVER"));
            (Arc::new(store), false, false)
        }
        Kind::Azurite => {
            cryptography();
            azurite::make_container(server);
            let store = MicrosoftAzureBuilder::new()
                .with_account(azurite::ACCOUNT)
                .with_access_key(azurite::KEY)
                .with_endpoint(azurite::endpoint(server))
                .with_allow_http(true)
                .with_container_name("bucket")
                .build();
            (Arc::new(store.unwrap()), true, true)
        }
    }
}

#[test]
fn others_are_as_they_are_known() {
    for kind in [Kind::Moto, Kind::S3rver, Kind::Azurite] {
        let Some(server) = Installed::start(kind) else { continue };
        let (store, creates_once, copies_once) = other(kind, &server);
        run(async {
            let first = create(&store, "a", "1").await;
            first.unwrap();
            let again = create(&store, "a", "2").await;
            assert_eq!(again.is_err(), creates_once, "{kind:?}: {again:?}");
            if creates_once {
                assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{kind:?}: {again:?}");
            }
            let size = multipart(&store, "parts").await;
            assert_eq!(size.unwrap(), (10 << 20) + 1000, "{kind:?}");
            let listed = store.list(None).map_ok(|it| it.location.to_string());
            assert_eq!(listed.try_collect::<Vec<_>>().await.unwrap(), ["a", "parts"], "{kind:?}");
            let (from, to) = (Path::from("a"), Path::from("copied"));
            let copy = || store.copy_if_not_exists(&from, &to);
            let copies = [copy().await, copy().await];
            let once = copies[0].is_ok() && matches!(copies[1], Err(Error::AlreadyExists { .. }));
            assert_eq!(once, copies_once, "{kind:?}: {copies:?}");
            let winners = winners(store.clone(), "race").await;
            assert_eq!(winners == 1, creates_once, "{kind:?}: {winners}");
        });
    }
}
