-- measured.lua - asks measured whether a request may pass (docs/proxies.md). For HAProxy 2.6 and later with Lua.
--
--   global
--       lua-load /usr/share/measured/measured.lua
--   frontend
--       http-request set-var(txn.measured_specifier) str(app)
--       http-request lua.measured
--       http-request deny deny_status 403 if { var(txn.measured) -m str refused }
--       http-request deny deny_status 503 unless { var(txn.measured) -m str approved }
--
-- Sets txn.measured to approved, refused or unknown, and when approved txn.measured_id, _release, _state and
-- _sequence; else txn.measured_reason. Where this does not run to its end, txn.measured is not set: only
-- `approved` may let a request pass. A process variable proc.measured_socket names another socket.

local SOCKET = "/run/measured/api.sock"
local TIMEOUT_MS = 2500 -- of one try; HAProxy makes four, so that a first resolution may take ten seconds

-- All copies of what the attested hop sent, so that doubled ones are refused over there.
local EVIDENCE = { "x-flashbots-measurement", "x-flashbots-attestation-type" }
local NAMES = { "id", "release", "state", "sequence" }

local function percent_encode(text)
    return (text:gsub("[^%w%-._~]", function(c)
        return string.format("%%%02X", c:byte())
    end))
end

-- Tables of headers count their values from zero.
local function values_of(headers, name)
    local values = {}
    local all = headers[name]
    local i = 0
    while all ~= nil and all[i] ~= nil do
        values[#values + 1] = all[i]
        i = i + 1
    end
    return values
end

local function ask(txn)
    local specifier = txn:get_var("txn.measured_specifier")
    if specifier == nil or specifier == "" then
        return nil, "txn.measured_specifier is not set"
    end
    local came = txn.http:req_get_headers()
    local headers = {}
    for _, name in ipairs(EVIDENCE) do
        local values = values_of(came, name)
        if #values > 0 then
            headers[name] = values
        end
    end
    local response = core.httpclient():get({
        url = "http://127.0.0.1/v1/authorize?specifier=" .. percent_encode(specifier),
        dst = "unix@" .. (txn:get_var("proc.measured_socket") or SOCKET),
        headers = headers,
        timeout = TIMEOUT_MS,
    })
    return response, "no answer"
end

local function note(txn, response)
    if response.status == 403 then
        txn:set_var("txn.measured_reason", values_of(response.headers, "x-measured-reason")[1] or "")
        txn:set_var("txn.measured", "refused")
    elseif response.status == 200 then
        for _, name in ipairs(NAMES) do
            local value = values_of(response.headers, "x-measured-" .. name)[1]
            if value == nil then
                error("an answer without x-measured-" .. name)
            end
            txn:set_var("txn.measured_" .. name, value)
        end
        txn:set_var("txn.measured", "approved")
    else
        txn:set_var("txn.measured_reason",
            values_of(response.headers or {}, "x-measured-reason")[1] or "no answer")
    end
end

core.register_action("measured", { "http-req" }, function(txn)
    txn:set_var("txn.measured", "unknown")
    local response, why = ask(txn)
    if response == nil then
        txn:set_var("txn.measured_reason", why)
    else
        note(txn, response)
    end
end, 0)
