-- SPDX-License-Identifier: Apache-2.0
-- wrk's script: distinct synthetic cards. Arguments: key, first serial, cards a call (1: /v1/tokens), pause in ms.
local key, serial, per_call, pause, run
local wrong = 0

function init(args)
  key, serial, per_call, pause = args[1], tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
  run = string.format("bench-%x-", serial)
  math.randomseed(serial)
end

local function card()
  serial = serial + 1
  local digits = string.format("0%014d", serial)
  local sum = 0
  for place = 1, 15 do
    local digit = string.byte(digits, place) - 48
    if place % 2 == 1 then
      digit = digit * 2
      if digit > 9 then digit = digit - 9 end
    end
    sum = sum + digit
  end
  return '{"card":{"number":"' .. digits .. (10 - sum % 10) % 10 .. '","exp_month":12,"exp_year":2034},"deduplicate":true}'
end

function request()
  local path, body = "/v1/tokens", nil
  if per_call == 1 then
    body = card()
  else
    local cards = {}
    for place = 1, per_call do cards[place] = card() end
    path, body = "/v1/tokens/bulk", '{"tokens":[' .. table.concat(cards, ",") .. "]}"
  end
  return wrk.format("POST", path, {
    ["Authorization"] = "Bearer " .. key,
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = run .. string.format("%x", serial),
  }, body)
end

-- Pauses are spread evenly around their mean, so that requests do not march in step.
function delay()
  if pause == 0 then return 0 end
  return math.random() * 2 * pause
end

function response(status)
  if status ~= 201 and status ~= 200 then wrong = wrong + 1 end
end
