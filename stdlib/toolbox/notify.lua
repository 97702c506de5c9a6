--- Telling people: an environment's channels, all at once, none able to stop a run.
--
-- A channel is { kind = "slack" | "pagerduty" | "webhook" | "sns", ... }:
--   slack      url (incoming webhook)
--   pagerduty  routing_key, url (default: PagerDuty's Events API v2)
--   webhook    url: receives { text, severity, run, playbook } as JSON
--   sns        topic (ARN), region: choose a region that is alive
-- A field may be given as { env = "NAME" } to be read from the environment.
local aws = require "aws"
local confidential = require "confidential"
local dr = require "drlua"
local http = require "http"

local notify = {}

local function field(channel, name)
  local value = channel[name]
  if type(value) ~= "table" or not value.env then return value end
  return dr.env(value.env) or dr.fail(("the variable %s is not set"):format(value.env))
end

local senders = {}

-- A message is sent at least once. What a webhook is posted has an Idempotency-Key, and
-- PagerDuty a dedup_key.
local function post(url, json)
  http.post(url, { json = json, timeout = "10s", message = true })
end

function senders.slack(channel, message)
  post(field(channel, "url"), { text = message.text })
end

function senders.webhook(channel, message)
  post(field(channel, "url"), message)
end

function senders.pagerduty(channel, message)
  post(field(channel, "url") or "https://events.pagerduty.com/v2/enqueue", {
    routing_key = field(channel, "routing_key"),
    event_action = message.resolved and "resolve" or "trigger",
    dedup_key = message.run,
    payload = { summary = message.text, source = "drlua", severity = message.severity },
  })
end

function senders.sns(channel, message)
  aws.sns { region = channel.region }:publish {
    TopicArn = field(channel, "topic"), Subject = message.subject, Message = message.text,
  }
end

--- Sends a text to every channel of the list. `options`: severity ("critical",
-- "error", "warning", "info"), resolved (bool). A channel that fails is noted: a
-- dead chat service must not stop a recovery. Returns how many took it.
function notify.send(channels, text, options)
  options = options or {}
  local run = dr.run()
  local message = {
    text = text, severity = options.severity or "critical", resolved = options.resolved,
    run = run.id, playbook = run.playbook, subject = confidential.mask(text):sub(1, 99),
  }
  local taken = 0
  for _, channel in ipairs(channels or {}) do
    local send = senders[channel.kind]
    if not send then
      dr.fail(("unknown channel kind %q: slack, pagerduty, webhook or sns")
        :format(tostring(channel.kind)))
    end
    local _, e = dr.try(send, channel, message)
    if e then
      dr.note(("could not tell %s: %s"):format(channel.name or channel.kind, tostring(e)))
    else
      taken = taken + 1
    end
  end
  return taken
end

return notify
