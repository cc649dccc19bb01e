// Command serve is an executor: it attaches to a Dovetail server and serves the tool word_count to its plans.
//
//	serve -server 127.0.0.1:50051
//
// SIGTERM and Ctrl-C drain it: what it is doing is finished, then it leaves. A second one ends it at once.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"dovetail-example/connection"
	pb "dovetail-example/dovetailv1"
)

func main() {
	server := flag.String("server", "127.0.0.1:50051", "where the server is: HOST:PORT or unix:PATH")
	authorities := flag.String("ca", "", "PEM file of the authorities to trust; turns TLS on")
	parallel := flag.Int("max-parallel", 8, "how many calls to take at the same time")
	flag.Parse()

	drain, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(drain, stop) // from then on a signal does what it does to any process
	if err := serve(drain, *server, *authorities, *parallel); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", connection.Explain(err))
		os.Exit(1)
	}
}

// serve attaches, and attaches again whenever the stream breaks, until the executor is drained.
func serve(drain context.Context, server, authorities string, parallel int) error {
	channel, err := connection.Open(server, authorities)
	if err != nil {
		return err
	}
	defer channel.Close()

	// The same as long as the process lives, so that a broken session can be resumed, and another one in each process.
	host, _ := os.Hostname()
	executor := newExecutor(fmt.Sprintf("%s-go-%d", host, os.Getpid()), parallel)
	service := pb.NewExecutorServiceClient(channel)
	for failures := 0; ; failures++ {
		welcomed, err := executor.attach(drain, service)
		if err == nil {
			return nil
		}
		if isFinal(err) {
			return err
		}
		if drain.Err() != nil && executor.isIdle() {
			return nil
		}
		if welcomed {
			failures = 0
		}
		fmt.Fprintln(os.Stderr, "attaching again:", connection.Explain(err))
		connection.Pause(context.Background(), failures)
	}
}

// isFinal tells whether the same hello would meet the same refusal again.
func isFinal(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.Unauthenticated, codes.PermissionDenied, codes.AlreadyExists, codes.FailedPrecondition:
		return true
	}
	// Another process attached under our executor_id: to fight it for the session would help nobody.
	return connection.Reason(err) == "SESSION_TAKEN_OVER"
}
