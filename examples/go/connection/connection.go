// Package connection reaches a Dovetail server, and reads why it refuses something.
package connection

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// Open prepares a connection to the server at HOST:PORT or unix:PATH. It is made at the first call.
//
// With the PEM file of the authorities to trust it speaks TLS. The token, if the server asks for one, is read from DOVETAIL_TOKEN.
func Open(server, authorities string) (*grpc.ClientConn, error) {
	security := insecure.NewCredentials()
	if authorities != "" {
		var err error
		if security, err = credentials.NewClientTLSFromFile(authorities, ""); err != nil {
			return nil, err
		}
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(security),
		// Without pings a server that vanished looks like one that has nothing to say.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second}),
	}
	if token := os.Getenv("DOVETAIL_TOKEN"); token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(token)))
	}
	return grpc.NewClient(server, options...)
}

// Reason returns the reason of a refusal, a name of the enum ErrorReason in error.proto without its prefix, such as
// RUN_NOT_FOUND; or "" if err is no refusal of a Dovetail server.
func Reason(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == "dovetail" {
			return info.GetReason()
		}
	}
	return ""
}

// Explain says what went wrong: the code and the reason for programs, the message for people.
func Explain(err error) string {
	refusal, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}
	if reason := Reason(err); reason != "" {
		return fmt.Sprintf("%s (%s): %s", refusal.Code(), reason, refusal.Message())
	}
	return fmt.Sprintf("%s: %s", refusal.Code(), refusal.Message())
}

// Pause waits before another attempt, longer after each failure. Its length is random, so that many clients which lost a
// server together do not come back together.
func Pause(ctx context.Context, failures int) {
	longest := min(100*time.Millisecond<<min(failures, 6), 5*time.Second)
	select {
	case <-time.After(rand.N(longest)):
	case <-ctx.Done():
	}
}

// bearer is a token that goes along with every call.
type bearer string

func (token bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(token)}, nil
}

// RequireTransportSecurity lets the token be used without TLS, which is fit for the loopback interface only.
func (token bearer) RequireTransportSecurity() bool { return false }
