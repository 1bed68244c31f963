# Fetches / and prints the body; asked for a client certificate, it gives one of its own.
# Usage: own_identity.rb HOST PORT set|callback 1.2|1.3 CAFILE CERTIFICATE KEY PASSPHRASE
# set: before the handshake; callback: only when OpenSSL asks

require 'openssl'
require 'socket'

host, port, way, tls, cafile, certificate, key, passphrase = ARGV
version = { '1.2' => :TLS1_2, '1.3' => :TLS1_3 }.fetch(tls)
certificate = OpenSSL::X509::Certificate.new(File.read(certificate))
key = OpenSSL::PKey.read(File.read(key), passphrase)

context = OpenSSL::SSL::SSLContext.new
context.min_version = context.max_version = version
context.verify_mode = OpenSSL::SSL::VERIFY_PEER
context.ca_file = cafile
if way == 'set'
  context.cert = certificate
  context.key = key
else
  context.client_cert_cb = ->(_) { [certificate, key] }
end

ssl = OpenSSL::SSL::SSLSocket.new(TCPSocket.new(host, port.to_i), context)
ssl.hostname = host
ssl.connect
ssl.write("GET / HTTP/1.0\r\nHost: #{host}\r\n\r\n")
print ssl.read.split("\r\n\r\n", 2)[1]
