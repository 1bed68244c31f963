# resolving.rb PORT NAME: asks for NAME with Ruby's own resolver, and gets a page there without a name in TLS.
require "openssl"
require "resolv"
require "socket"

address = Resolv::DNS.open(nameserver: ["127.0.0.1"], search: [], ndots: 1) { |resolver| resolver.getaddress(ARGV[1]) }
connection = OpenSSL::SSL::SSLSocket.new(TCPSocket.new(address.to_s, ARGV[0].to_i))
connection.connect
connection.write("GET / HTTP/1.0\r\n\r\n")
puts connection.read
