-- The health of a DevOpsPolicy or ClusterDevOpsPolicy for Argo CD, from its kstatus conditions. Open violations do
-- not make a policy unhealthy: it is in force.
local hs = { status = "Progressing", message = "podgate has not evaluated it yet" }
if obj.status == nil or obj.status.conditions == nil then
  return hs
end
-- The status describes an earlier version of the policy.
if obj.status.observedGeneration ~= obj.metadata.generation then
  return hs
end
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Stalled" and condition.status == "True" then
    return { status = "Degraded", message = condition.message }
  end
end
for _, condition in ipairs(obj.status.conditions) do
  -- A policy that covers no namespace yet is in force for those to come, and must not keep a sync from making them.
  if condition.type == "Ready" and (condition.status == "True" or condition.reason == "CoversNothing") then
    return { status = "Healthy", message = obj.status.message or condition.message }
  end
end
return hs
