-- Runs the health check FILE on statuses that podgate writes: lua health.lua FILE
local source = assert(io.open(arg[1])):read("a")

local function condition(type, status, message, reason)
  return { type = type, status = status, message = message or "", reason = reason or "Evaluated" }
end
local ready = { condition("Ready", "True", "in force"), condition("Stalled", "False") }
local stalled = { condition("Ready", "False", "spec.x: bad"), condition("Stalled", "True", "spec.x: bad") }
local nothing = { condition("Ready", "False", "no namespace has the labels a=b", "CoversNothing"), condition("Stalled", "False") }

for _, case in ipairs({
  { "none yet", nil, "Progressing" },
  { "without conditions", { observedGeneration = 2 }, "Progressing" },
  { "ready", { observedGeneration = 2, conditions = ready }, "Healthy", "in force" },
  { "ready, with violations", { observedGeneration = 2, conditions = ready, message = "Critical: score 0" }, "Healthy", "Critical: score 0" },
  { "covering no namespace", { observedGeneration = 2, conditions = nothing, message = "covers nothing" }, "Healthy", "covers nothing" },
  { "stalled", { observedGeneration = 2, conditions = stalled }, "Degraded", "spec.x: bad" },
  { "ready, of an earlier version", { observedGeneration = 1, conditions = ready }, "Progressing" },
  { "stalled, of an earlier version", { observedGeneration = 1, conditions = stalled }, "Progressing" },
  { "of no version", { conditions = ready }, "Progressing" },
}) do
  local name, status, expected, message = table.unpack(case, 1, 4)
  local environment = { obj = { metadata = { generation = 2 }, status = status }, ipairs = ipairs }
  local health = assert(load(source, arg[1], "t", environment))()
  assert(health.status == expected, name .. ": " .. health.status .. ", not " .. expected)
  assert(message == nil or health.message == message, name .. ": " .. health.message)
end
