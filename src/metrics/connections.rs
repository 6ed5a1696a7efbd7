//! Metrics of connections, of every replica.

use prometheus::{IntCounterVec, Registry};

use super::family::counters;

/// Why podgate ended a connection: the label `reason`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// The connection limit was reached.
    Crowded,
    /// The TLS handshake failed.
    Handshake,
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// The first request did not come in time.
    NoRequest,
    /// The connection was idle for too long.
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
        let ended = counters(
            registry,
            "podgate_connections_ended_total",
            "Connections that podgate ended: crowded, handshake, handshake_timeout, no_request, idle.",
            &["reason"],
        )?;
        // A counter whose first value is 1 hides its first step from increase().
        for reason in Ended::ALL {
            ended.with_label_values(&[reason.as_str()]).inc_by(0);
        }
        Ok(Self { ended: Some(ended) })
    }

    /// podgate ended a connection.
    pub fn ended(&self, reason: Ended) {
        if let Some(ended) = &self.ended {
            ended.with_label_values(&[reason.as_str()]).inc();
        }
    }
}
