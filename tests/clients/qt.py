"""Fetches URL with Qt's QNetworkAccessManager and prints the body.

Usage: qt.py PyQt5|PyQt6 URL CAFILE; with an empty CAFILE nothing is verified.
"""
import importlib
import sys

core = importlib.import_module(sys.argv[1] + ".QtCore")
network = importlib.import_module(sys.argv[1] + ".QtNetwork")
application = core.QCoreApplication(sys.argv)
manager = network.QNetworkAccessManager()
request = network.QNetworkRequest(core.QUrl(sys.argv[2]))
configuration = request.sslConfiguration()
if sys.argv[3]:
    configuration.setCaCertificates(network.QSslCertificate.fromPath(sys.argv[3]))
else:
    configuration.setPeerVerifyMode(network.QSslSocket.PeerVerifyMode.VerifyNone)
request.setSslConfiguration(configuration)
reply = manager.get(request)
reply.finished.connect(application.quit)
application.exec()
print(bytes(reply.readAll()).decode(), end="")
sys.exit(reply.error() != network.QNetworkReply.NetworkError.NoError)
