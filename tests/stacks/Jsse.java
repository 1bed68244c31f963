import javax.net.ssl.*;
import java.security.cert.X509Certificate;

/** java Jsse.java HOST PORT [PROTOCOLS]: a client of JSSE that verifies nothing and says "secret". */
class Jsse {
    public static void main(String[] arguments) throws Exception {
        TrustManager[] anyone = {new X509TrustManager() {
            public void checkClientTrusted(X509Certificate[] chain, String type) {}
            public void checkServerTrusted(X509Certificate[] chain, String type) {}
            public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
        }};
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, anyone, null);
        SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(arguments[0], Integer.parseInt(arguments[1]));
        SSLParameters parameters = socket.getSSLParameters();
        parameters.setServerNames(java.util.List.of(new SNIHostName(arguments[0])));
        socket.setSSLParameters(parameters);
        if (arguments.length > 2)
            socket.setEnabledProtocols(arguments[2].split(","));
        socket.getOutputStream().write("secret".getBytes());
        socket.getOutputStream().flush();
    }
}
