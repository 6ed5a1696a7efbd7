//! Shared by the two resource rules: which containers need which resources, and which amounts count.

use std::cmp::Ordering;

use super::super::containers::{ContainerRole, PlacedContainer, containers};
use super::super::object::{Quantities, QuantityText, Resources};
use super::super::rule::{Breach, Fix, InvalidField};
use super::super::subject::Subject;
use super::super::text::quote;
use super::super::vap::expression::{quote as quoted, text};
use super::super::vap::form::{CelFinding, CelFix};
use crate::api::{ComputeResource, DefaultResources, DevOpsPolicySpec};
use crate::cel::library::quantity::amount::Amount;

/// `resources.requests` or `resources.limits`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    Requests,
    Limits,
}

impl Side {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Limits => "limits",
        }
    }
}

/// A required resource, with the default amounts for a container without it.
struct Wanted {
    resource: ComputeResource,
    /// The default on the required side.
    default: Option<String>,
    /// The default request beside a default limit: without a request, the API server would copy the limit.
    default_request: Option<String>,
}

impl Wanted {
    fn in_cel(&self, side: Side) -> CelFinding {
        let (side_name, name) = (side.as_str(), self.resource.as_str());
        let amount = |of: &str| {
            let limit = format!("{of}.?resources.?limits[?{}]", text(name));
            match side {
                Side::Limits => limit,
                Side::Requests => {
                    format!("{of}.?resources.?requests[?{}].or({limit})", text(name))
                }
            }
        };
        let is_given = |of: &str| {
            format!("quantity({}.orValue('0')).isGreaterThan(quantity('0'))", amount(of))
        };
        let found = amount("x.c");
        let problem = format!(
            "({found}.hasValue() ? 'is ' + {} + ', which is none' : 'is missing')",
            quoted(&format!("{found}.orValue('')"))
        );
        let example = self.default.as_deref().unwrap_or(example(self.resource));
        let broken = format!("x.role != 'ephemeral' && !({})", is_given("x.c"));
        let finding = CelFinding::of_containers(broken)
            .at(&format!("resources.{side_name}.{name}"))
            .because(format!("{found}.orValue('')"), problem)
            .remedy(&format!("set it, such as {name}: {example}"))
            .by_removal();
        let finding = CelFinding { fix: self.fix_in_cel(side), ..finding };
        if self.resource == ComputeResource::EphemeralStorage {
            finding
        } else {
            finding.unless(&is_given("p.spec"))
        }
    }

    /// The default in CEL, as [`Asked::breach`] has it.
    fn fix_in_cel(&self, side: Side) -> Option<CelFix> {
        let (default, name) = (self.default.as_deref()?, self.resource.as_str());
        let field = |side: Side| format!("resources.{}.{name}", side.as_str());
        let [requests, limits] = [Side::Requests, Side::Limits].map(field);
        let fits = match side {
            // A limit counts as the request.
            Side::Requests => format!(
                "!x.c.?{}.hasValue() && !x.add.exists(y, y.f == '{limits}')",
                limits.replace('.', ".?")
            ),
            Side::Limits => format!(
                "!quantity(x.c.?{}.orValue(x.add.filter(y, y.f == '{requests}').map(y, y.v)[?0].orValue('0')))\
                 .isGreaterThan(quantity({}))",
                requests.replace('.', ".?"),
                text(default)
            ),
        };
        let of_pod = [&requests, &limits]
            .map(|field| format!("p.spec.?{}.hasValue()", field.replace('.', ".?")));
        let request = self.default_request.as_deref();
        Some(CelFix {
            field: field(side),
            when: format!("!({}) && {fits}", of_pod.join(" || ")),
            value: text(default),
            beside: request.map(|it| (requests, text(it))),
        })
    }
}

/// What a policy requires on one side.
pub struct Asked {
    side: Side,
    wanted: Vec<Wanted>,
}

impl Asked {
    /// # Errors
    /// A default is not a positive quantity, or a request is above its limit.
    pub fn new(
        side: Side,
        resources: &[ComputeResource],
        spec: &DevOpsPolicySpec,
    ) -> Result<Self, InvalidField> {
        let defaults = spec.default_resources.clone().unwrap_or_default();
        check_defaults(&defaults)?;
        let default = |side, resource| match (side, resource) {
            (Side::Requests, ComputeResource::Cpu) => defaults.cpu_request.clone(),
            (Side::Requests, ComputeResource::Memory) => defaults.memory_request.clone(),
            (Side::Limits, ComputeResource::Cpu) => defaults.cpu_limit.clone(),
            (Side::Limits, ComputeResource::Memory) => defaults.memory_limit.clone(),
            (_, ComputeResource::EphemeralStorage) => None,
        };
        let wanted = resources.iter().map(|&resource| Wanted {
            resource,
            default: default(side, resource),
            default_request: default(Side::Requests, resource).filter(|_| side == Side::Limits),
        });
        Ok(Self { side, wanted: wanted.collect() })
    }

    /// The same in CEL; nothing of a spec that does not compile.
    pub fn in_cel(
        side: Side,
        resources: &[ComputeResource],
        spec: &DevOpsPolicySpec,
    ) -> Vec<CelFinding> {
        let asked = Self::new(side, resources, spec);
        asked.iter().flat_map(|it| &it.wanted).map(|it| it.in_cel(side)).collect()
    }

    /// Reports each container that lacks a required resource.
    pub fn check(&self, subject: &Subject<'_>, breaches: &mut Vec<Breach>) {
        // The API server rejects resources of ephemeral containers.
        for place in containers(subject.spec).filter(|place| place.role != ContainerRole::Ephemeral)
        {
            for wanted in &self.wanted {
                if !self.given_by_pod(subject, wanted.resource) {
                    breaches.extend(self.breach(subject, &place, wanted));
                }
            }
        }
    }

    /// Whether `resources` of the whole pod (KEP-2837) satisfy it, for cpu and memory.
    fn given_by_pod(&self, subject: &Subject<'_>, resource: ComputeResource) -> bool {
        let pod = subject.spec.resources.as_ref();
        resource != ComputeResource::EphemeralStorage
            && pod.is_some_and(|pod| self.amount(pod, resource).is_some_and(is_some_amount))
    }

    /// The amount of a resource. A limit also counts as the request if that is missing, as the API server defaults it.
    fn amount<'a>(
        &self,
        resources: &'a Resources<'a>,
        resource: ComputeResource,
    ) -> Option<&'a QuantityText<'a>> {
        let limit = of(resources.limits.as_ref(), resource);
        match self.side {
            Side::Limits => limit,
            Side::Requests => of(resources.requests.as_ref(), resource).or(limit),
        }
    }

    fn breach(
        &self,
        subject: &Subject<'_>,
        place: &PlacedContainer<'_>,
        Wanted { resource, default, default_request }: &Wanted,
    ) -> Option<Breach> {
        let resources = place.container.resources.as_ref();
        let found = resources.and_then(|resources| self.amount(resources, *resource));
        let problem = match found.map(|text| (text, Amount::parse(text))) {
            Some((_, Ok(amount))) if amount.sign() > 0 => return None,
            Some((text, Ok(_))) => format!("is {}, which is none", quote(text)),
            Some((text, Err(_))) => format!("is {}, which is no quantity", quote(text)),
            None => "is missing".to_owned(),
        };
        let (side, name) = (self.side.as_str(), resource.as_str());
        let path = place.path(subject, &format!("resources.{side}.{name}"));
        let example = default.as_deref().unwrap_or(example(*resource));
        let request = of(resources.and_then(|it| it.requests.as_ref()), *resource);
        let requested = request.is_some();
        let fits = default.as_ref().filter(|default| {
            found.is_none()
                && !is_set_on_pod(subject, *resource)
                && (self.side == Side::Requests || covers(default, request))
        });
        Some(Breach {
            container: Some(place.name()),
            fix: fits.map(|amount| Fix {
                beside: default_request.as_ref().filter(|_| !requested).map(|amount| {
                    let path = place.path(subject, &format!("resources.requests.{name}"));
                    Box::new(Fix::new(path, amount.clone()))
                }),
                ..Fix::new(path.clone(), amount.clone())
            }),
            path,
            value: found.map(|text| (**text).to_owned()),
            problem,
            remedy: format!("set it, such as {name}: {example}"),
            ..Breach::default()
        })
    }
}

/// An amount for a container without one.
const fn example(resource: ComputeResource) -> &'static str {
    match resource {
        ComputeResource::Cpu => "100m",
        ComputeResource::Memory => "128Mi",
        ComputeResource::EphemeralStorage => "1Gi",
    }
}

/// Whether `resources` of the whole pod set a resource. The API server compares it with the sum over the containers, so
/// a default for one container could exceed it.
fn is_set_on_pod(subject: &Subject<'_>, resource: ComputeResource) -> bool {
    subject.spec.resources.as_ref().is_some_and(|pod| {
        [&pod.requests, &pod.limits].iter().any(|side| of(side.as_ref(), resource).is_some())
    })
}

fn is_some_amount(text: &QuantityText<'_>) -> bool {
    positive(text).is_some()
}

fn of<'a>(
    quantities: Option<&'a Quantities<'a>>,
    resource: ComputeResource,
) -> Option<&'a QuantityText<'a>> {
    let quantities = quantities?;
    match resource {
        ComputeResource::Cpu => quantities.cpu.as_ref(),
        ComputeResource::Memory => quantities.memory.as_ref(),
        ComputeResource::EphemeralStorage => quantities.ephemeral_storage.as_ref(),
    }
}

/// A positive amount; `None` for others. To the kubelet, a request or limit of 0 means none.
fn positive(text: &str) -> Option<Amount> {
    Amount::parse(text).ok().filter(|amount| amount.sign() > 0)
}

fn is_more(mut amount: Amount, than: Amount) -> bool {
    amount.compare(than) == Ok(Ordering::Greater)
}

/// Whether a limit is at least the request. The API server rejects less.
fn covers(limit: &str, request: Option<&QuantityText<'_>>) -> bool {
    let request = request.and_then(|text| Amount::parse(text).ok());
    request.is_none_or(|request| Amount::parse(limit).is_ok_and(|limit| !is_more(request, limit)))
}

fn check_defaults(defaults: &DefaultResources) -> Result<(), InvalidField> {
    let DefaultResources { cpu_request, cpu_limit, memory_request, memory_limit } = defaults;
    let invalid = |field: &str, message: String| InvalidField {
        path: format!("spec.defaultResources.{field}"),
        message,
    };
    let read = |field: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => match positive(text) {
            Some(amount) => Ok(Some(amount)),
            None => {
                Err(invalid(field, format!("{text:?} is no amount; write it as 100m or 128Mi")))
            }
        },
    };
    for (request, request_text, limit, limit_text) in [
        ("cpuRequest", cpu_request, "cpuLimit", cpu_limit),
        ("memoryRequest", memory_request, "memoryLimit", memory_limit),
    ] {
        let (low, high) = (read(request, request_text)?, read(limit, limit_text)?);
        if low.zip(high).is_some_and(|(low, high)| is_more(low, high)) {
            return Err(invalid(request, format!("it is more than {limit}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::rule::{Phase, Rule};
    use super::super::testing::{breaches, enabled};
    use super::super::{require_resource_limits, require_resource_requests};
    use super::*;

    const REQUESTS: &Rule = &require_resource_requests::RULE;
    const LIMITS: &Rule = &require_resource_limits::RULE;

    fn sentences(rule: &Rule, asked: &str, spec: &str) -> Vec<String> {
        let found = breaches(rule, &enabled(rule.id, asked), spec);
        found.iter().map(Breach::sentence).collect()
    }

    fn container(resources: &str) -> String {
        format!(r#"{{"containers": [{{"name": "web", "resources": {resources}}}]}}"#)
    }

    #[test]
    fn each_missing_resource_is_named_with_its_path_and_an_example() {
        let found = sentences(REQUESTS, r#"["cpu", "memory"]"#, &container("{}"));
        assert_eq!(
            found,
            [
                "spec.containers[0].resources.requests.cpu is missing; set it, such as cpu: 100m",
                "spec.containers[0].resources.requests.memory is missing; set it, such as memory: 128Mi",
            ]
        );
    }

    #[test]
    fn a_limit_stands_for_a_missing_request_and_a_request_for_no_limit() {
        let limited = container(r#"{"limits": {"memory": "1Gi"}}"#);
        assert!(sentences(REQUESTS, r#"["memory"]"#, &limited).is_empty());
        let requested = container(r#"{"requests": {"memory": "1Gi"}}"#);
        assert_eq!(sentences(LIMITS, r#"["memory"]"#, &requested).len(), 1);
    }

    #[test]
    fn a_pods_own_resources_satisfy_its_containers_for_cpu_and_memory() {
        let spec = |resources: &str| {
            format!(
                r#"{{"resources": {resources}, "initContainers": [{{"name": "i"}}], "containers": [{{"name": "web"}}]}}"#
            )
        };
        let limits = spec(r#"{"limits": {"cpu": 1, "memory": "1Gi", "ephemeral-storage": "1Gi"}}"#);
        assert!(sentences(LIMITS, r#"["cpu", "memory"]"#, &limits).is_empty());
        assert!(sentences(REQUESTS, r#"["cpu", "memory"]"#, &limits).is_empty());
        assert_eq!(sentences(LIMITS, r#"["ephemeral-storage"]"#, &limits).len(), 2);
        for other in [r#"{"requests": {"memory": "1Gi"}}"#, r#"{"limits": {"memory": "0"}}"#] {
            assert_eq!(sentences(LIMITS, r#"["memory"]"#, &spec(other)).len(), 2, "{other}");
        }
    }

    #[test]
    fn init_containers_need_them_and_debug_containers_cannot_have_them() {
        let spec = r#"{"initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
            "containers": [{"name": "web"}], "ephemeralContainers": [{"name": "d"}]}"#;
        assert_eq!(sentences(LIMITS, r#"["memory"]"#, spec).len(), 3);
    }

    #[test]
    fn nothing_and_nonsense_are_no_amount() {
        let asked = r#"["cpu"]"#;
        for (amount, why) in [
            (r#""0""#, r#"is "0", which is none"#),
            ("0", r#"is "0", which is none"#),
            (r#""lots""#, r#"is "lots", which is no quantity"#),
        ] {
            let found = sentences(
                LIMITS,
                asked,
                &container(&format!(r#"{{"limits": {{"cpu": {amount}}}}}"#)),
            );
            assert!(found[0].contains(why), "{found:?}");
        }
        for amount in ["1", "0.5", r#""1n""#, r#""1e3""#] {
            let spec = container(&format!(r#"{{"limits": {{"cpu": {amount}}}}}"#));
            assert!(sentences(LIMITS, asked, &spec).is_empty(), "{amount}");
        }
    }

    #[test]
    fn the_policys_default_is_the_fix_unless_the_request_is_above_it() {
        let policy: DevOpsPolicySpec = serde_json::from_str(
            r#"{"requireResourceLimits": ["memory"], "defaultResources": {"memoryRequest": "64Mi", "memoryLimit": "256Mi"}}"#,
        )
        .unwrap();
        let fix = |resources: &str| breaches(LIMITS, &policy, &container(resources)).remove(0).fix;
        let of = |side: &str, amount: &str| {
            Fix::new(format!("spec.containers[0].resources.{side}.memory"), amount)
        };
        let limit = of("limits", "256Mi");
        // Without it, the pod would request four times the policy's default.
        let beside = Some(Box::new(of("requests", "64Mi")));
        assert_eq!(fix("{}"), Some(Fix { beside, ..limit.clone() }));
        assert_eq!(fix(r#"{"requests": {"memory": "32Mi"}}"#), Some(limit));
        assert_eq!(fix(r#"{"requests": {"memory": "1Gi"}}"#), None);
        assert_eq!(fix(r#"{"limits": {"memory": "0"}}"#), None);
    }

    #[test]
    fn defaults_that_the_api_server_would_refuse_refuse_the_policy() {
        let refused = |defaults: &str| {
            let policy: DevOpsPolicySpec = serde_json::from_str(&format!(
                r#"{{"requireResourceRequests": ["cpu"], "defaultResources": {defaults}}}"#
            ))
            .unwrap();
            let Phase::Spec(compile) = REQUESTS.phase else { unreachable!() };
            compile(&policy).err().expect("the defaults were accepted").to_string()
        };
        insta::assert_snapshot!(refused(r#"{"cpuLimit": "lots"}"#), @r#"spec.defaultResources.cpuLimit: "lots" is no amount; write it as 100m or 128Mi"#);
        insta::assert_snapshot!(refused(r#"{"cpuRequest": "0"}"#), @r#"spec.defaultResources.cpuRequest: "0" is no amount; write it as 100m or 128Mi"#);
        insta::assert_snapshot!(refused(r#"{"memoryRequest": "1Gi", "memoryLimit": "1G"}"#), @"spec.defaultResources.memoryRequest: it is more than memoryLimit");
    }
}
