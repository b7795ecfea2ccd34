//! HTTP to places that are no providers of models: pages that a run asks for, and servers of the Model Context Protocol.

mod address;
mod page;
mod service;

pub use page::{Fetched, Fetcher};
pub use reqwest::Method;
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
pub use service::{Reply, Service};

use std::time::Duration;

use reqwest::{Client, ClientBuilder, redirect};
use url::{Host, Url};

const CONNECT: Duration = Duration::from_secs(10);
/// How long nothing may come: a call of a tool may take two minutes.
const IDLE: Duration = Duration::from_secs(150);

/// A service at an address: encrypted unless it is on this machine, and no redirect is followed, which would carry a
/// token to where nobody asked it to go.
///
/// # Errors
/// Why there is none, as the end of a sentence.
pub fn service(address: &str) -> Result<Service, String> {
    let url = Url::parse(address).map_err(|error| format!("its url is no address ({error})"))?;
    let local = is_local(&url);
    match url.scheme() {
        "https" => {}
        "http" if local => {}
        _ => return Err("its url is not encrypted: use https".to_owned()),
    }
    let mut builder = builder().read_timeout(IDLE);
    if local {
        builder = builder.no_proxy();
    }
    if url.scheme() == "http" {
        builder = builder.tls_certs_only([]);
    }
    let client = builder.build().map_err(|error| format!("no connection can be made: {}", error.without_url()))?;
    Ok(Service::new(client, url))
}

/// What all clients have in common.
fn builder() -> ClientBuilder {
    // Whoever installed a provider before may keep it: there is no other reason for this to fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("cowrite/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .redirect(redirect::Policy::none())
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a3_12_services_are_encrypted_or_on_this_machine() {
        for good in ["https://a.example/mcp", "http://localhost:3001/mcp", "http://127.0.0.1/mcp", "http://[::1]/"] {
            assert!(service(good).is_ok(), "{good}");
        }
        for bad in ["http://a.example/", "http://localhost.a.example/", "ftp://localhost/", "http://10.0.0.1/", "x"] {
            assert!(service(bad).is_err(), "{bad}");
        }
    }
}
