package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "dovetail-example/dovetailv1"
)

// wordCount is what planners are told of the tool. All executors that serve it must give the same spec, byte for byte, in
// whatever language they are written.
var wordCount = &pb.ToolSpec{
	Name:        "word_count",
	Description: "How many words a text has.",
	InputSchemaJson: `{"type":"object","properties":{` +
		`"text":{"type":"string"},` +
		`"delay_ms":{"type":"integer","minimum":0,"description":"how long to take over it"}` +
		`},"required":["text"],"additionalProperties":false}`,
	OutputSchemaJson: `{"type":"integer"}`,
	// It changes nothing: when its executor is lost, the call is made again elsewhere.
	ReadOnly: true,
}

// carryOut carries out a call. A failure is an outcome like any other: it reaches the model that joins the outputs.
func carryOut(ctx context.Context, call *pb.ExecutorCall) *pb.CallOutcome {
	output, err := countWords(ctx, call.GetArgumentsJson())
	if err == nil {
		return &pb.CallOutcome{Outcome: &pb.CallOutcome_OutputJson{OutputJson: output}}
	}
	kind := pb.CallFailure_KIND_ERROR
	if errors.Is(err, context.DeadlineExceeded) {
		kind = pb.CallFailure_KIND_TIMEOUT
	} else if errors.Is(err, context.Canceled) {
		kind = pb.CallFailure_KIND_CANCELLED
	}
	failure := &pb.CallFailure{Kind: kind, Message: err.Error()}
	return &pb.CallOutcome{Outcome: &pb.CallOutcome_Failure{Failure: failure}}
}

// countWords takes a JSON object and returns a JSON value, both as text. The server has checked the object against the schema.
func countWords(ctx context.Context, argumentsJSON string) (string, error) {
	var arguments struct {
		Text    string `json:"text"`
		DelayMS int64  `json:"delay_ms"`
	}
	if err := json.Unmarshal([]byte(argumentsJSON), &arguments); err != nil {
		return "", err
	}
	select {
	case <-time.After(time.Duration(arguments.DelayMS) * time.Millisecond):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	return fmt.Sprint(len(strings.Fields(arguments.Text))), nil
}
