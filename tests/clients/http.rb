# Fetches / with Net::HTTP and prints the body.
# Usage: http.rb HOST PORT verify|noverify 1.2|1.3 CAFILE

require 'net/http'

host, port, verify, tls, cafile = ARGV
version = { '1.2' => :TLS1_2, '1.3' => :TLS1_3 }.fetch(tls)
http = Net::HTTP.new(host, port.to_i)
http.use_ssl = true
http.min_version = version
http.max_version = version
http.open_timeout = http.read_timeout = 10
if verify == 'verify'
  http.verify_mode = OpenSSL::SSL::VERIFY_PEER
  http.ca_file = cafile
else
  http.verify_mode = OpenSSL::SSL::VERIFY_NONE
end
print http.get('/').body
