-- Load for wrk, in two kinds. Plain: one body for ever, the cheapest that wrk can do. Checking (LOAD_CHECK=1): all
-- bodies in turn, and each answer compared with the expected one byte by byte; that needs one connection a thread, for
-- wrk does not say which request a response belongs to. Bodies and answers are files of hexadecimal lines, so that they
-- may hold any byte. So are headers (LOAD_HEADERS), each a line of every request's head, and credentials
-- (LOAD_CREDENTIALS), each a header's line; several of them take turns.

local function read_lines(path)
  local lines = {}
  for line in io.lines(path) do
    lines[#lines + 1] = (line:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end))
  end
  return lines
end

local bodies = read_lines(os.getenv("LOAD_BODIES"))
local expected = read_lines(os.getenv("LOAD_EXPECTED"))

wrk.method = "POST"
wrk.body = bodies[1]
wrk.headers["Content-Type"] = os.getenv("LOAD_CONTENT_TYPE")
local credentials = os.getenv("LOAD_CREDENTIALS") and read_lines(os.getenv("LOAD_CREDENTIALS")) or {}
if os.getenv("LOAD_TOKEN") then wrk.headers["Authorization"] = "Bearer " .. os.getenv("LOAD_TOKEN") end

for _, line in ipairs(read_lines(os.getenv("LOAD_HEADERS"))) do
  local name, value = line:match("^([^:]+): (.*)$")
  wrk.headers[name] = value
end

local function with_credential(headers, at)
  local copied = {}
  for name, value in pairs(headers) do copied[name] = value end
  if #credentials > 0 then
    local name, value = credentials[(at - 1) % #credentials + 1]:match("^([^:]+): (.*)$")
    copied[name] = value
  end
  return copied
end

wrk.headers = with_credential(wrk.headers, 1)

-- Where a server joins requests, the last digits may depend on the neighbours.
local tolerance = tonumber(os.getenv("LOAD_TOLERANCE"))
local NUMBER = "%-?%d+%.?%d*[eE]?[%+%-]?%d*"

local function alike(got, wanted)
  if got == wanted then return true end
  if tolerance == 0 or (got:gsub(NUMBER, "0")) ~= (wanted:gsub(NUMBER, "0")) then return false end
  local other = wanted:gmatch(NUMBER)
  for number in got:gmatch(NUMBER) do
    local same = other()
    if number ~= same and not (math.abs(tonumber(number) - tonumber(same)) <= tolerance) then return false end
  end
  return true
end

local threads = {}
checked, wrong = 0, 0

function setup(thread)
  threads[#threads + 1] = thread
end

local checks = os.getenv("LOAD_CHECK") == "1"
if checks or #credentials > 1 then
  local requests, turn = {}, 0

  function init(_)
    local sent = checks and bodies or { bodies[1] }
    for i = 1, math.max(#sent, #credentials) do
      requests[i] = wrk.format(nil, nil, with_credential(wrk.headers, i), sent[(i - 1) % #sent + 1])
    end
  end

  function request()
    turn = turn % #requests + 1
    return requests[turn]
  end

  if checks then
    function response(status, _, body)
      checked = checked + 1
      if status ~= 200 or not alike(body, expected[(turn - 1) % #expected + 1]) then wrong = wrong + 1 end
    end
  end
end

function done(summary, latency, _)
  local checked_in_all, wrong_in_all = 0, 0
  for _, thread in ipairs(threads) do
    checked_in_all = checked_in_all + thread:get("checked")
    wrong_in_all = wrong_in_all + thread:get("wrong")
  end
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%f,"not_ok":%d,"broken":%d,"checked":%d,"wrong":%d,"p50_us":%d,"p99_us":%d}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, checked_in_all, wrong_in_all,
    latency:percentile(50), latency:percentile(99)))
end
