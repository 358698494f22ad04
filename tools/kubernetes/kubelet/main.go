// vmop-kubelet is what kube-apiserver finds at the sandbox's node: it answers port forwarding with the kubelet's own
// streaming code, and passes requests for container logs on to the sandbox. It runs no pods.
//
// It listens on a free port of loopback, prints the port on a line of its own, and ends when its standard input does.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"strconv"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
)

const (
	idleTimeout     = 4 * time.Hour
	creationTimeout = 30 * time.Second
)

// hostNetwork forwards to ports of this machine, as all of the sandbox's pods use the host's network.
type hostNetwork struct{}

func (hostNetwork) PortForward(ctx context.Context, pod, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("localhost", strconv.Itoa(int(port))))
	if err != nil {
		return fmt.Errorf("cannot connect to port %d of pod %s: %w", port, pod, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	go func() {
		io.Copy(conn, stream)
		// Whoever has nothing more to say may still listen.
		conn.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(stream, conn)
	return nil
}

func forwardPorts(w http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, hostNetwork{}, r.PathValue("pod"), r.PathValue("uid"), options,
		idleTimeout, creationTimeout, portforward.SupportedProtocols)
}

// logsFrom passes requests on to the HTTP server at a unix socket, a followed log line by line.
func logsFrom(socket string) http.Handler {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", "sandbox"
		},
		Transport:     &http.Transport{DialContext: dial},
		FlushInterval: -1,
	}
}

// serverTLS lets in nobody but kube-apiserver: logs are not for every user of this machine.
func serverTLS(ca, cert, key string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", ca)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientCAs:    clients,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		MinVersion:   tls.VersionTLS12,
	}, nil
}

func main() {
	ca := flag.String("ca", "", "certificate authority of clients")
	cert := flag.String("cert", "", "certificate")
	key := flag.String("key", "", "its key")
	logs := flag.String("logs", "", "unix socket of the HTTP server that has the logs")
	flag.Parse()

	config, err := serverTLS(*ca, *cert, *key)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/portForward/{namespace}/{pod}", forwardPorts)
	mux.HandleFunc("/portForward/{namespace}/{pod}/{uid}", forwardPorts)
	mux.Handle("GET /containerLogs/{namespace}/{pod}/{container}", logsFrom(*logs))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "the sandbox's node does not do this", http.StatusNotImplemented)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Handler:   mux,
		TLSConfig: config,
		// Upgrades to SPDY and WebSocket need HTTP/1.1.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(server.ServeTLS(listener, "", ""))
}
