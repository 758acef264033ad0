-- Prosody as a host would run it for speed: epoll, generational garbage collection, no Nagle, no rate limits, few words.
-- Places between @ are filled in by the benchmark.
run_as_root = true
pidfile = "@DIR@/prosody.pid"
data_path = "@DIR@/data"
interfaces = { "@ADDRESS@" }
local_interfaces = { "@ADDRESS@" }
c2s_ports = { 5222 }
s2s_ports = { 5269 }
http_ports = {}
https_ports = {}

network_backend = "epoll"
network_settings = { nodelay = true, tcp_backlog = 1024 }
gc = { mode = "generational" }

-- Debian's list, without what needs a network outside, without `limits`, and with message carbons and acknowledgements.
modules_enabled = {
    "roster", "saslauth", "tls", "dialback", "disco", "posix",
    "blocklist", "bookmarks", "carbons", "csi_simple", "ping", "pep", "private", "smacks", "time", "uptime",
    "vcard4", "vcard_legacy", "version", @ARCHIVE@
}

authentication = "internal_hashed"
password_hash = "SHA-256"
c2s_require_encryption = true
s2s_require_encryption = true
s2s_secure_auth = true
storage = "internal"
log = { warn = "*console" }

Component "rooms.@DOMAIN@" "muc"
    restrict_room_creation = "local"

VirtualHost "@DOMAIN@"
    ssl = { certificate = "@CHAIN@", key = "@KEY@" }
