//! One page of the open network: looked up, checked, and fetched from the very address that was checked.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::Response;
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

use super::address::is_public;
use super::builder;

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(20);
/// The most of a page that is taken in.
const MOST: usize = 5 * 1024 * 1024;
/// Redirects within a host.
const REDIRECTS: usize = 5;

/// Fetches pages.
#[derive(Clone, Debug, Default)]
pub struct Fetcher {
    /// Names that are looked up here and addresses that count as public: in tests alone.
    #[cfg(test)]
    pub(crate) known: std::collections::HashMap<String, Vec<SocketAddr>>,
}

/// What is at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// A page.
    Page {
        /// Where it was in the end.
        url: String,
        /// The status.
        status: u16,
        /// What it is said to be; empty when nothing is.
        kind: String,
        /// Its bytes, as many as are taken in.
        body: Vec<u8>,
        /// Whether there are more.
        cut: bool,
    },
    /// It is on another host.
    Elsewhere {
        /// Where.
        to: String,
    },
}

impl Fetcher {
    /// Fetches a page with GET: no cookies, no keys, no proxy. A redirect is followed within the host alone.
    ///
    /// # Errors
    /// Why there is none, as a sentence.
    pub async fn get(&self, address: &str) -> Result<Fetched, String> {
        let until = Instant::now() + LIMIT;
        let mut url = read(address)?;
        for _ in 0..=REDIRECTS {
            let fetched = timeout_at(until, self.step(&url)).await;
            match fetched.map_err(|_| format!("{} did not answer within {} s.", host(&url), LIMIT.as_secs()))?? {
                Step::There(response) => return page(url, response, until).await,
                Step::Moved(to) if is_within(&url, &to) => url = to,
                Step::Moved(to) => return Ok(Fetched::Elsewhere { to: to.into() }),
            }
        }
        Err(format!("{} sends from one page to the next, more than {REDIRECTS} times.", host(&url)))
    }

    async fn step(&self, url: &Url) -> Result<Step, String> {
        let addresses = self.addresses(url).await?;
        let mut builder = builder().no_proxy();
        if let Some(Host::Domain(name)) = url.host() {
            // What was checked is what is asked, whatever the name is by then.
            builder = builder.resolve_to_addrs(name, &addresses);
        }
        if url.scheme() == "http" {
            builder = builder.tls_certs_only([]);
        }
        let failed = |error: reqwest::Error| {
            let error = error.without_url();
            let mut cause: &dyn std::error::Error = &error;
            while let Some(next) = cause.source() {
                cause = next;
            }
            format!("{} could not be asked: {cause}.", host(url))
        };
        let client = builder.build().map_err(failed)?;
        let accept = "text/html,text/markdown,text/plain,application/json;q=0.9,*/*;q=0.1";
        let response = client.get(url.clone()).header(ACCEPT, accept).send().await.map_err(failed)?;
        if !response.status().is_redirection() {
            return Ok(Step::There(response));
        }
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let Some(to) = to else { return Ok(Step::There(response)) };
        let to = url.join(to).map_err(|_| format!("{} sends to something that is no address.", host(url)))?;
        Ok(Step::Moved(read(to.as_str())?))
    }

    /// Where a host is: nowhere, when any of it is not for everybody.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, String> {
        let port = url.port_or_known_default().unwrap_or(443);
        let found: Vec<SocketAddr> = match url.host() {
            Some(Host::Ipv4(address)) => vec![(address, port).into()],
            Some(Host::Ipv6(address)) => vec![(address, port).into()],
            Some(Host::Domain(name)) => self.look_up(name, port).await?,
            None => Vec::new(),
        };
        if found.is_empty() {
            return Err(format!("There is no host {}.", host(url)));
        }
        match found.iter().find(|address| !self.lets(address.ip())) {
            None => Ok(found),
            Some(_) => Err(format!(
                "{} is not on the open network: this machine and private networks are not asked. Use a command if the person wants that.",
                host(url)
            )),
        }
    }

    async fn look_up(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        #[cfg(test)]
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        let found = tokio::net::lookup_host((name, port)).await;
        Ok(found.map_err(|error| format!("{name} could not be looked up: {error}."))?.collect())
    }

    #[cfg(not(test))]
    fn lets(&self, address: IpAddr) -> bool {
        is_public(address)
    }

    #[cfg(test)]
    fn lets(&self, address: IpAddr) -> bool {
        // The loopback address that test servers listen on, and no other.
        let is_test = !self.known.is_empty() && address == IpAddr::from([127, 0, 0, 1]);
        is_test || is_public(address)
    }
}

enum Step {
    There(Response),
    Moved(Url),
}

/// An address that may be asked at all.
fn read(address: &str) -> Result<Url, String> {
    let url = Url::parse(address.trim()).map_err(|error| format!("This is no address: {error}."))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("Only http and https addresses are fetched.".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("An address with a name or password in it is not fetched.".into());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("The address names no host.".into());
    }
    Ok(url)
}

/// Whether a redirect stays with whom the person was asked for: the same host and port, and not from encrypted to plain. Also from
/// plain to encrypted, with the ports that belong to them.
fn is_within(from: &Url, to: &Url) -> bool {
    let usual = from.port().is_none() && to.port().is_none();
    let scheme = from.scheme() == to.scheme() || from.scheme() == "http" && to.scheme() == "https" && usual;
    let port = from.port_or_known_default() == to.port_or_known_default() || usual;
    from.host() == to.host() && scheme && port
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

async fn page(url: Url, response: Response, until: Instant) -> Result<Fetched, String> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !matches!(header(CONTENT_ENCODING), "" | "identity") {
        return Err(format!("{} sent a page that is compressed, though that was not asked for.", host(&url)));
    }
    let (status, kind) = (response.status().as_u16(), header(CONTENT_TYPE).to_owned());
    let mut pieces = response.bytes_stream();
    let (mut body, mut cut) = (Vec::new(), false);
    let slow = |_| format!("{} did not send all of the page within {} s.", host(&url), LIMIT.as_secs());
    while let Some(piece) = timeout_at(until, pieces.next()).await.map_err(slow)? {
        let piece = piece.map_err(|error| format!("{} broke off: {}.", host(&url), error.without_url()))?;
        let room = MOST - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room {
            cut = true;
            break;
        }
    }
    Ok(Fetched::Page { url: url.into(), status, kind, body, cut })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a3_20_what_is_not_on_the_open_network_is_not_asked() {
        let fetcher = Fetcher::default();
        for address in [
            "http://127.0.0.1:1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0/",
            "http://localhost/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://169.254.169.254/latest/meta-data/",
            "https://10.0.0.1/",
            "http://192.168.0.1:8080/",
        ] {
            let why = fetcher.get(address).await.expect_err(address);
            assert!(why.contains("not on the open network"), "{address}: {why}");
        }
        for address in ["file:///etc/passwd", "ftp://a.example/", "gopher://a", "x", "http://", "http://u:p@a.example/"]
        {
            fetcher.get(address).await.expect_err(address);
        }
    }

    #[tokio::test]
    async fn a3_20_one_private_address_among_public_ones_is_enough() {
        let mixed = vec!["1.1.1.1:80".parse().unwrap(), "10.0.0.7:80".parse().unwrap()];
        let fetcher = Fetcher { known: [("rebinds.example".to_owned(), mixed)].into() };
        assert!(fetcher.get("http://rebinds.example/").await.unwrap_err().contains("not on the open network"));
    }

    #[test]
    fn a_redirect_stays_within_a_host_or_is_a_question_of_its_own() {
        let within = |from: &str, to: &str| is_within(&from.parse().unwrap(), &to.parse().unwrap());
        assert!(within("http://a.example/x", "https://a.example/y"));
        assert!(within("https://a.example/x", "https://a.example/y?z"));
        assert!(!within("https://a.example/", "http://a.example/"));
        assert!(!within("https://a.example/", "https://b.a.example/"));
        assert!(!within("https://a.example/", "https://a.example.b/"));
        assert!(!within("https://a.example/", "https://a.example:8443/"));
    }
}
