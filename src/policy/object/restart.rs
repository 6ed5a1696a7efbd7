//! A container's `restartPolicyRules` (KEP-5307).

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::shape::from_objects_only;
use super::text::Text;

from_objects_only!(RestartRule<'a>, ExitCodes<'a>);

/// Whether a container's `restartPolicyRules` restart it after success.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RestartRules {
    /// Whether a rule restarts the container after exit code 0. Then it does not run to completion.
    pub after_success: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
struct RestartRule<'a> {
    #[serde(borrow)]
    exit_codes: Option<ExitCodes<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
struct ExitCodes<'a> {
    #[serde(borrow)]
    operator: Text<'a>,
    values: Values,
}

/// Whether 0 is among the exit codes.
#[derive(Debug, Default)]
struct Values {
    zero: bool,
}

impl RestartRule<'_> {
    /// Whether the rule applies to exit code 0. All actions restart something; unknown actions are assumed to.
    fn is_after_success(&self) -> bool {
        match &self.exit_codes {
            Some(ExitCodes { operator, values }) if &**operator == "In" => values.zero,
            Some(ExitCodes { operator, values }) if &**operator == "NotIn" => !values.zero,
            _ => true,
        }
    }
}

impl<'de> Deserialize<'de> for RestartRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let is_after_success = |rule: RestartRule<'de>| rule.is_after_success();
        let after_success =
            deserializer.deserialize_option(Any("a list of rules", is_after_success))?;
        Ok(Self { after_success })
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let zero =
            deserializer.deserialize_option(Any("a list of numbers", |code: i32| code == 0))?;
        Ok(Self { zero })
    }
}

/// Decodes a list into whether a predicate holds for any item: what the list is, and the predicate.
struct Any<T>(&'static str, fn(T) -> bool);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Any<T> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.0)
    }
    fn visit_none<E>(self) -> Result<bool, E> {
        Ok(false)
    }
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<bool, D::Error> {
        inner.deserialize_seq(self)
    }
    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<bool, S::Error> {
        let mut any = false;
        while let Some(item) = list.next_element()? {
            any |= (self.1)(item);
        }
        Ok(any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_holds_for_exit_code_zero_keeps_a_container_running() {
        let rule = |operator: &str, values: &str| {
            format!(
                r#"[{{"action": "Restart", "exitCodes": {{"operator": "{operator}", "values": {values}}}}}]"#
            )
        };
        for (rules, expected) in [
            ("null".to_owned(), false),
            ("[]".to_owned(), false),
            (rule("In", "[42]"), false),
            (rule("In", "[42, 0]"), true),
            (rule("In", "null"), false),
            (rule("NotIn", "[42]"), true),
            (rule("NotIn", "[0, 1]"), false),
            (rule("Within", "[1]"), true),
            (r#"[{"action": "Restart"}]"#.to_owned(), true),
        ] {
            let read: RestartRules = serde_json::from_str(&rules).unwrap();
            assert_eq!(read.after_success, expected, "{rules}");
        }
        assert!(serde_json::from_str::<RestartRules>(r#"{"action": "Restart"}"#).is_err());
    }
}
