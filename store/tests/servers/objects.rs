//! What a small S3 server does with objects, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::http::{Request, Response, dates, decode};
use super::small_s3::Conditional;

#[derive(Debug, Clone)]
struct Object {
    bytes: Arc<Vec<u8>>,
    tag: String,
    modified: SystemTime,
}

#[derive(Debug, Default)]
struct Contents {
    /// By bucket and key.
    objects: BTreeMap<(String, String), Object>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    count: u64,
}

#[derive(Debug, Default)]
pub struct Objects(Mutex<Contents>);

pub fn error(status: u16, code: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    );
    Response::new(status, body).with("Content-Type", "application/xml")
}

fn xml(body: String) -> Response {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{body}");
    Response::new(200, body).with("Content-Type", "application/xml")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn unescape(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    text.replace("&apos;", "'").replace("&amp;", "&")
}

/// What stands between these tags, each time.
fn between<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    text.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).collect()
}

impl Objects {
    /// The keys in a bucket, and what lies there.
    pub fn all(&self, bucket: &str) -> BTreeMap<String, Vec<u8>> {
        let contents = self.0.lock().unwrap();
        let objects = contents.objects.iter().filter(|((it, _), _)| it == bucket);
        objects.map(|((_, key), object)| (key.clone(), object.bytes.to_vec())).collect()
    }

    /// Puts an object there, or takes it away, behind the back of the clients.
    pub fn set(&self, bucket: &str, key: &str, bytes: Option<Vec<u8>>) {
        let mut contents = self.0.lock().unwrap();
        match bytes {
            Some(bytes) => {
                contents.put(bucket, key, bytes, SystemTime::now());
            }
            None => {
                contents.objects.remove(&(bucket.into(), key.into()));
            }
        }
    }

    /// Uploads that were begun, and neither completed nor aborted.
    pub fn uploads(&self) -> usize {
        self.0.lock().unwrap().uploads.len()
    }

    pub fn answer(&self, request: &Request, conditional: Conditional, now: SystemTime) -> Response {
        let (bucket, key) = request.path.split_once('/').unwrap_or((&request.path, ""));
        if bucket == "missing" {
            return error(404, "NoSuchBucket");
        }
        let upload = request.query("uploadId");
        match (request.method.as_str(), key) {
            ("GET", "") => self.list(bucket, request),
            ("HEAD", "") => Response::new(200, ""),
            ("POST", "") if request.query("delete").is_some() => self.delete_all(bucket, request),
            ("GET" | "HEAD", _) => self.get(bucket, key, request),
            ("PUT", _) if upload.is_some() => self.put_part(upload.unwrap(), request, now),
            ("PUT", _) if request.header("x-amz-copy-source").is_some() => {
                match self.source(request) {
                    Some(bytes) => self.put(bucket, key, bytes, request, conditional, now, "Copy"),
                    None => error(404, "NoSuchKey"),
                }
            }
            ("PUT", _) => {
                self.put(bucket, key, request.body.clone(), request, conditional, now, "")
            }
            ("POST", _) if request.query("uploads").is_some() => {
                let mut contents = self.0.lock().unwrap();
                contents.count += 1;
                let id = format!("upload-{}", contents.count);
                contents.uploads.insert(id.clone(), BTreeMap::new());
                let (bucket, key) = (escape(bucket), escape(key));
                xml(format!(
                    "<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{key}</Key>\
                     <UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                ))
            }
            ("POST", _) if upload.is_some() => {
                let id = upload.unwrap();
                let parts = self.0.lock().unwrap().uploads.get(id).cloned();
                let Some(parts) = parts else { return error(404, "NoSuchUpload") };
                let body = String::from_utf8_lossy(&request.body).into_owned();
                let numbers = between(&body, "PartNumber");
                let wanted = numbers.iter().map(|number| parts.get(&number.parse().unwrap_or(0)));
                let Some(wanted) = wanted.collect::<Option<Vec<_>>>() else {
                    return error(400, "InvalidPart");
                };
                // As S3 demands it of all but the last.
                let short = |part: &&&Vec<u8>| part.len() < 5 << 20;
                if wanted.iter().rev().skip(1).any(|part| short(&part)) {
                    return error(400, "EntityTooSmall");
                }
                let bytes = wanted.into_iter().flatten().copied().collect();
                let done = self.put(bucket, key, bytes, request, conditional, now, "Complete");
                if done.status == 200 {
                    self.0.lock().unwrap().uploads.remove(id);
                }
                done
            }
            ("DELETE", _) if upload.is_some() => {
                match self.0.lock().unwrap().uploads.remove(upload.unwrap()) {
                    Some(_) => Response::new(204, ""),
                    None => error(404, "NoSuchUpload"),
                }
            }
            ("DELETE", _) => {
                self.set(bucket, key, None);
                Response::new(204, "")
            }
            _ => error(405, "MethodNotAllowed"),
        }
    }

    fn list(&self, bucket: &str, request: &Request) -> Response {
        let prefix = request.query("prefix").unwrap_or("");
        let delimiter = request.query("delimiter").filter(|it| !it.is_empty());
        let after = request.query("continuation-token").or(request.query("start-after"));
        let most = request.query("max-keys").and_then(|it| it.parse().ok()).unwrap_or(1000);
        let contents = self.0.lock().unwrap();
        let (mut objects, mut folders, mut last, mut more) =
            (String::new(), BTreeSet::new(), None, false);
        let mut count = 0;
        for ((it, key), object) in &contents.objects {
            let here = it == bucket && key.starts_with(prefix);
            if !here || after.is_some_and(|after| key.as_str() <= after) {
                continue;
            }
            let end = delimiter.and_then(|it| Some(key[prefix.len()..].find(it)? + it.len()));
            let folder = end.map(|end| key[..prefix.len() + end].to_string());
            // A folder on an earlier page is not told of again.
            let told = folder.as_ref().is_some_and(|folder| {
                folders.contains(folder) || after.is_some_and(|after| after.starts_with(&**folder))
            });
            if told {
                last = Some(key);
                continue;
            }
            if count == most {
                more = true;
                break;
            }
            count += 1;
            last = Some(key);
            match folder {
                Some(folder) => {
                    folders.insert(folder);
                }
                None => {
                    objects += &format!(
                        "<Contents><Key>{}</Key><LastModified>{}</LastModified>\
                         <ETag>{}</ETag><Size>{}</Size></Contents>",
                        escape(key),
                        dates(object.modified).1,
                        object.tag,
                        object.bytes.len()
                    );
                }
            }
        }
        let folders = folders.iter().map(|folder| {
            format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escape(folder))
        });
        let token = last.filter(|_| more).map_or(String::new(), |last| {
            format!("<NextContinuationToken>{}</NextContinuationToken>", escape(last))
        });
        xml(format!(
            "<ListBucketResult><Name>{bucket}</Name><Prefix>{}</Prefix><KeyCount>{count}</KeyCount>\
             <MaxKeys>{most}</MaxKeys><IsTruncated>{more}</IsTruncated>{token}{objects}{}\
             </ListBucketResult>",
            escape(prefix),
            folders.collect::<String>()
        ))
    }

    fn get(&self, bucket: &str, key: &str, request: &Request) -> Response {
        let found = self.0.lock().unwrap().objects.get(&(bucket.into(), key.into())).cloned();
        let Some(object) = found else { return error(404, "NoSuchKey") };
        let size = object.bytes.len();
        let Ok(range) = request.range(size) else { return error(416, "InvalidRange") };
        let (from, end) = range.unwrap_or((0, size));
        let answer = match range {
            Some(_) => Response::new(206, &object.bytes[from..end])
                .with("Content-Range", format!("bytes {from}-{}/{size}", end - 1)),
            None => Response::new(200, object.bytes.to_vec()),
        };
        answer.with("ETag", object.tag).with("Last-Modified", dates(object.modified).0)
    }

    /// Puts an object, if it may be there; the answer is that to a put, a copy or a completion.
    #[allow(clippy::too_many_arguments)]
    fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: Vec<u8>,
        request: &Request,
        conditional: Conditional,
        now: SystemTime,
        what: &str,
    ) -> Response {
        let create = request.header("if-none-match") == Some("*");
        let place = (bucket.to_string(), key.to_string());
        let mut contents = self.0.lock().unwrap();
        let there = contents.objects.contains_key(&place);
        match conditional {
            Conditional::Honoured | Conditional::CheckedFirst(_) if create && there => {
                return error(412, "PreconditionFailed");
            }
            Conditional::CheckedFirst(pause) if create => {
                drop(contents);
                std::thread::sleep(pause);
                contents = self.0.lock().unwrap();
            }
            _ => {}
        }
        // As object_store asks for when it updates an object: nobody has changed it since.
        let tag = contents.objects.get(&place).map(|object| object.tag.clone());
        if request.header("if-match").is_some_and(|wanted| tag.as_deref() != Some(wanted)) {
            return error(412, "PreconditionFailed");
        }
        let object = contents.put(bucket, key, bytes, now);
        let date = dates(object.modified).1;
        let tag = &object.tag;
        match what {
            "Copy" => xml(format!(
                "<CopyObjectResult><LastModified>{date}</LastModified><ETag>{tag}</ETag>\
                 </CopyObjectResult>"
            )),
            "Complete" => xml(format!(
                "<CompleteMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{}</Key>\
                 <ETag>{tag}</ETag></CompleteMultipartUploadResult>",
                escape(key)
            )),
            _ => Response::new(200, "").with("ETag", tag.clone()),
        }
    }

    fn put_part(&self, id: &str, request: &Request, now: SystemTime) -> Response {
        let copied = request.header("x-amz-copy-source").is_some();
        let bytes = match copied {
            true => self.source(request),
            false => Some(request.body.clone()),
        };
        let Some(bytes) = bytes else { return error(404, "NoSuchKey") };
        let number = request.query("partNumber").and_then(|number| number.parse().ok());
        let mut contents = self.0.lock().unwrap();
        let (Some(parts), Some(number)) = (contents.uploads.get_mut(id), number) else {
            return error(404, "NoSuchUpload");
        };
        let tag = format!("\"part-{number}-{}\"", bytes.len());
        parts.insert(number, bytes);
        match copied {
            true => xml(format!(
                "<CopyPartResult><LastModified>{}</LastModified><ETag>{tag}</ETag></CopyPartResult>",
                dates(now).1
            )),
            false => Response::new(200, "").with("ETag", tag),
        }
    }

    /// What is to be copied.
    fn source(&self, request: &Request) -> Option<Vec<u8>> {
        let source = decode(request.header("x-amz-copy-source")?);
        let (bucket, key) = source.trim_start_matches('/').split_once('/')?;
        let contents = self.0.lock().unwrap();
        Some(contents.objects.get(&(bucket.into(), key.into()))?.bytes.to_vec())
    }

    fn delete_all(&self, bucket: &str, request: &Request) -> Response {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let keys = between(&body, "Key");
        let deleted = keys.into_iter().map(|key| {
            self.set(bucket, &unescape(key), None);
            format!("<Deleted><Key>{key}</Key></Deleted>")
        });
        xml(format!("<DeleteResult>{}</DeleteResult>", deleted.collect::<String>()))
    }
}

impl Contents {
    fn put(&mut self, bucket: &str, key: &str, bytes: Vec<u8>, modified: SystemTime) -> &Object {
        self.count += 1;
        let tag = format!("\"{:032x}\"", self.count);
        let object = Object { bytes: Arc::new(bytes), tag, modified };
        let place = (bucket.to_string(), key.to_string());
        self.objects.insert(place.clone(), object);
        &self.objects[&place]
    }
}
