//! What is counted of connections, of every replica.

use prometheus::{IntCounterVec, Opts, Registry};

use super::register;

/// Why a connection ended before its client ended it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// Another one needed its place, or there was none for it.
    Crowded,
    /// Its TLS handshake failed.
    Handshake,
    /// Its TLS handshake took too long.
    HandshakeTimeout,
    /// No request came.
    NoRequest,
    /// No further request came for long.
    Idle,
}

impl Ended {
    const ALL: [Self; 5] =
        [Self::Crowded, Self::Handshake, Self::HandshakeTimeout, Self::NoRequest, Self::Idle];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Crowded => "crowded",
            Self::Handshake => "handshake",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::NoRequest => "no_request",
            Self::Idle => "idle",
        }
    }
}

/// The default counts nothing.
#[derive(Clone, Default)]
pub struct ConnectionMetrics {
    ended: Option<IntCounterVec>,
}

impl ConnectionMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let ended = IntCounterVec::new(
            Opts::new(
                "podgate_connections_ended_total",
                "Connections that podgate ended: crowded, handshake, handshake_timeout, no_request, idle.",
            ),
            &["reason"],
        )?;
        // A counter whose first value is 1 hides its first step from increase().
        for because in Ended::ALL {
            ended.with_label_values(&[because.as_str()]).inc_by(0);
        }
        Ok(Self { ended: Some(register(registry, ended)?) })
    }

    /// A connection was ended.
    pub fn ended(&self, because: Ended) {
        if let Some(ended) = &self.ended {
            ended.with_label_values(&[because.as_str()]).inc();
        }
    }
}
