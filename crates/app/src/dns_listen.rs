//! How `meridian run` listens for DNS: flags, and what the server is started with.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use dns_server::{CertificateFiles, Encrypted, TapOptions};

/// Flags of the role dns.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "DNS")]
pub(crate) struct DnsListen {
    /// Addresses that answer DNS, over UDP and TCP
    #[arg(long = "dns-listen", value_name = "ADDRESS", default_values = ["0.0.0.0:53"])]
    pub(crate) plain: Vec<SocketAddr>,
    /// Addresses that answer DNS over TLS, such as 0.0.0.0:853
    #[arg(
        long = "dns-tls-listen",
        value_name = "ADDRESS",
        requires = "certificate"
    )]
    pub(crate) tls: Vec<SocketAddr>,
    /// Addresses that answer DNS over HTTPS at /dns-query, such as 0.0.0.0:443
    #[arg(
        long = "dns-https-listen",
        value_name = "ADDRESS",
        requires = "certificate"
    )]
    pub(crate) https: Vec<SocketAddr>,
    /// Addresses that answer DNS over QUIC, such as 0.0.0.0:853
    #[arg(
        long = "dns-quic-listen",
        value_name = "ADDRESS",
        requires = "certificate"
    )]
    pub(crate) quic: Vec<SocketAddr>,
    /// Certificate chain of the three, in PEM; read again when it changes
    #[arg(long = "dns-certificate", value_name = "FILE", requires = "key")]
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key, in PEM
    #[arg(long = "dns-key", value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,
    /// Threads that answer UDP per address [default: one per core]
    #[arg(long = "dns-threads", value_name = "COUNT")]
    pub(crate) threads: Option<usize>,
    /// Microseconds that queries which come fast over UDP may wait for each other, so that they are
    /// answered together; 0 answers each at once
    #[arg(
        long = "dns-gather",
        value_name = "MICROSECONDS",
        default_value_t = dns_server::GATHER.subsec_micros(),
        value_parser = clap::value_parser!(u32).range(..=1000)
    )]
    pub(crate) gather: u32,
    /// Errors, and NXDOMAIN, that a network gets over UDP in a second before it is sent to TCP;
    /// 0 is no limit
    #[arg(long = "dns-rate-limit", value_name = "COUNT", default_value_t = 200)]
    pub(crate) rate_limit: u32,
    /// Resolvers that say the addresses of hostnames where no alias can be, such as 10.0.0.10:53
    /// [default: those of /etc/resolv.conf]
    #[arg(long = "dns-resolver", value_name = "ADDRESS")]
    pub(crate) resolvers: Vec<SocketAddr>,
    /// Addresses that always answer, such as 192.0.2.1:443: a replica that reaches none of them knows that its own
    /// uplink is broken, and has no say about endpoints
    #[arg(long = "control-target", value_name = "ADDRESS")]
    pub(crate) control_targets: Vec<SocketAddr>,
    /// What NSID and id.server say, to tell replicas of one address apart [default: refused]
    #[arg(long = "dns-name", value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// What version.bind says [default: refused]
    #[arg(long = "dns-version", value_name = "TEXT")]
    pub(crate) version: Option<String>,
    /// Unix socket of a dnstap receiver, which is told of a sample of queries with their replies
    #[arg(long = "dns-tap", value_name = "SOCKET")]
    pub(crate) tap: Option<PathBuf>,
    /// One query of so many is in the sample
    #[arg(
        long = "dns-tap-one-in",
        value_name = "COUNT",
        default_value = "100",
        requires = "tap"
    )]
    pub(crate) tap_one_in: NonZeroU32,
    /// Take over from the process with the same --state-dir, its sockets included, and end it; no
    /// query is lost. With the role dns alone
    #[arg(long)]
    pub(crate) replace: bool,
}

impl DnsListen {
    /// UDP and TCP on these addresses, and the defaults for all else.
    pub(crate) fn plain(addresses: Vec<SocketAddr>) -> Self {
        Self {
            plain: addresses,
            tls: Vec::new(),
            https: Vec::new(),
            quic: Vec::new(),
            certificate: None,
            key: None,
            threads: Some(1),
            gather: dns_server::GATHER.subsec_micros(),
            rate_limit: 200,
            resolvers: Vec::new(),
            control_targets: Vec::new(),
            name: None,
            version: None,
            tap: None,
            tap_one_in: NonZeroU32::MIN,
            replace: false,
        }
    }

    /// Who says the addresses of hostnames.
    pub(crate) fn resolvers(&self) -> prober::Servers {
        match self.resolvers.as_slice() {
            [] => prober::Servers::File("/etc/resolv.conf".into()),
            these => prober::Servers::These(these.to_vec()),
        }
    }

    /// What the server is started with.
    ///
    /// # Errors
    /// A certificate that nothing uses, a name or version that is too long.
    pub(crate) fn options(&self, secrets: dns::Secrets) -> Result<dns_server::Options> {
        let mut options = dns_server::Options::new(self.plain.clone(), secrets);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        options.udp_threads = self.threads.unwrap_or(cores);
        options.gather = Duration::from_micros(self.gather.into());
        options.identity = dns::Identity::new(self.name.as_deref(), self.version.as_deref())?;
        options.tap = self.tap.clone().map(|socket| TapOptions {
            socket,
            one_in: self.tap_one_in,
            identity: self.name.clone(),
        });
        options.rates = dns::Rates {
            errors: NonZeroU32::new(self.rate_limit),
            nxdomain: NonZeroU32::new(self.rate_limit),
            ..dns::Rates::default()
        };
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            if self.tls.is_empty() && self.https.is_empty() && self.quic.is_empty() {
                bail!(
                    "--dns-certificate is used by nothing: add --dns-tls-listen, \
                     --dns-https-listen or --dns-quic-listen"
                );
            }
            options.encrypted = Some(Encrypted {
                certificate: CertificateFiles {
                    certificate: certificate.clone(),
                    key: key.clone(),
                },
                tls: self.tls.clone(),
                https: self.https.clone(),
                quic: self.quic.clone(),
            });
        }
        Ok(options)
    }
}
