//! The compiled mutations of one policy.

use super::rule::{InvalidField, Phase, Rule, SpecCheck};
use super::rules::{
    pod_security, require_liveness_probe, require_readiness_probe, require_resource_limits,
    require_resource_requests,
};
use crate::api::{ComputeResource, DefaultResources, DevOpsPolicySpec, ImageTag};

/// The rules whose fixes fill in absent fields.
pub(super) static FILLING: [&Rule; 5] = [
    &require_resource_requests::RULE,
    &require_resource_limits::RULE,
    &require_liveness_probe::RULE,
    &require_readiness_probe::RULE,
    &pod_security::RULE,
];

/// What one policy with `mutate` adds to pods.
pub(super) struct Injector {
    pub image_tags: Vec<ImageTag>,
    pub fillings: Vec<(&'static Rule, SpecCheck)>,
}

impl Injector {
    /// Compiles the mutations of a spec; `None` without `mutate`.
    ///
    /// # Errors
    /// The first invalid field of a rule whose fixes the policy uses.
    pub fn new(spec: &DevOpsPolicySpec) -> Result<Option<Self>, InvalidField> {
        if spec.mutate != Some(true) {
            return Ok(None);
        }
        let asking = asking(spec);
        let mut fillings = Vec::new();
        for rule in FILLING {
            if let Phase::Spec(compile) = rule.phase
                && let Some(check) = compile(&asking)?
            {
                fillings.push((rule, check));
            }
        }
        Ok(Some(Self { image_tags: spec.image_tags.clone().unwrap_or_default(), fillings }))
    }
}

/// The spec whose rules ask for what a policy adds: default resources apply even if no rule requires resources.
pub(super) fn asking(spec: &DevOpsPolicySpec) -> DevOpsPolicySpec {
    let given = spec.default_resources.clone().unwrap_or_default();
    let DefaultResources { cpu_request, cpu_limit, memory_request, memory_limit } = given;
    DevOpsPolicySpec {
        require_resource_requests: Some(resources(cpu_request.is_some(), memory_request.is_some())),
        require_resource_limits: Some(resources(cpu_limit.is_some(), memory_limit.is_some())),
        ..spec.clone()
    }
}

fn resources(cpu: bool, memory: bool) -> Vec<ComputeResource> {
    let given = [(cpu, ComputeResource::Cpu), (memory, ComputeResource::Memory)];
    given.into_iter().filter_map(|(given, resource)| given.then_some(resource)).collect()
}
