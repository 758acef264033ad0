//! What `[bucket]` may say: enough to find it and to prove ourselves, over TLS, with objects that one PUT takes.

use dna::Url;

use super::{BucketSection, Problem};

/// The largest object that S3 takes in one PUT, in bytes.
const PUT_BYTES: u64 = 5 << 30;

/// Looks at a section whose endpoint is set; `file_bytes` is the largest file.
pub(super) fn check(section: &BucketSection, file_bytes: u64, problems: &mut Vec<Problem>) {
    if section.endpoint.is_empty() {
        return;
    }
    let mut wrong = |key: &str, text: &str| {
        problems.push(Problem::new(&format!("bucket.{key}"), text));
    };
    let endpoint = Url::parse(&section.endpoint).ok();
    let endpoint = endpoint.filter(|url| match url.scheme() {
        "https" => url.has_host(),
        "http" => is_here(url),
        _ => false,
    });
    if endpoint.is_none() {
        let text = "expected a URL with https://; http:// is for storage on this machine";
        wrong("endpoint", text);
    }
    for (key, value) in [("name", &section.name), ("access_key", &section.access_key)] {
        if value.is_empty() {
            wrong(key, "is required with bucket.endpoint");
        }
    }
    match (
        section.secret_key.is_empty(),
        section.secret_key_file.as_os_str().is_empty(),
    ) {
        (true, true) => wrong(
            "secret_key",
            "is required with bucket.endpoint, here or in bucket.secret_key_file",
        ),
        (false, false) => wrong(
            "secret_key",
            "stands here and in bucket.secret_key_file: set one of them",
        ),
        _ => {}
    }
    let plain = |part: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(known)
    };
    if section.prefix.len() > 200 || !section.prefix.split('/').all(plain) {
        let text = "expected letters, digits, '-', '_' and '.', in parts with '/' between them";
        wrong("prefix", text);
    }
    if file_bytes > PUT_BYTES {
        let text = format!("{file_bytes} is too large for a bucket, which takes {PUT_BYTES}");
        problems.push(Problem::new("uploads.file_bytes", text));
    }
}

fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || plain
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_bucket_is_complete_and_spoken_to_in_private() {
        let good = "[bucket]\nendpoint = \"https://s3.example\"\nname = \"files\"\naccess_key = \"a\"\nsecret_key = \"hunter2\"\n";
        let config = Config::parse("x", good, []).expect("complete");
        assert!(!format!("{config:?}").contains("hunter2"));
        let here = good.replace("https://s3.example", "http://[::1]:7070");
        Config::parse("x", &here, []).expect("on this machine");
        for (from, to, key) in [
            ("https://s3.example", "http://s3.example", "bucket.endpoint"),
            ("https://s3.example", "s3.example", "bucket.endpoint"),
            ("name = \"files\"", "", "bucket.name"),
            ("access_key = \"a\"", "", "bucket.access_key"),
            ("secret_key = \"hunter2\"", "", "bucket.secret_key"),
            (
                "[bucket]",
                "[bucket]\nsecret_key_file = \"f\"",
                "bucket.secret_key",
            ),
            ("[bucket]", "[bucket]\nprefix = \"a/../b\"", "bucket.prefix"),
            ("[bucket]", "[bucket]\nprefix = \"\"", "bucket.prefix"),
            (
                "[bucket]",
                "[uploads]\nfile_bytes = 5368709121\n[bucket]",
                "uploads.file_bytes",
            ),
        ] {
            let said = Config::parse("x", &good.replace(from, to), []);
            let said = said.expect_err(to).to_string();
            assert!(said.contains(key) && !said.contains("hunter2"), "{said}");
        }
    }
}
