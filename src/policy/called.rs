//! Whether the API servers call podgate, as the beat observes it.

/// The beat's verdict on the API servers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Called {
    /// This process sends no beat, as `podgate reconcile`.
    #[default]
    NoBeat,
    /// The beat has not decided yet.
    Undecided,
    /// The API servers call podgate about all that its configuration was rendered for.
    Yes,
    /// They are not seen to: why, as a sentence.
    No(String),
}
