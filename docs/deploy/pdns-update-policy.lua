-- What Domicile may change in the platform zone at PowerDNS: names below on.hosting.example.net, with its key.
-- PowerDNS leaves out what is not allowed here and answers NOERROR all the same; its log has the line.
local below = ".on.hosting.example.net"

function updatepolicy(input)
  local name = input:getQName():toStringNoDot():lower()
  return input:getTsigName():toStringNoDot() == "domicile" and name:sub(-#below) == below
end
