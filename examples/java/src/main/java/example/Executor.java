package example;

import com.google.protobuf.Duration;
import dovetail.v1.AttachRequest;
import dovetail.v1.AttachResponse;
import dovetail.v1.CallFailure;
import dovetail.v1.CallOutcome;
import dovetail.v1.CallResult;
import dovetail.v1.Drain;
import dovetail.v1.ExecutorCall;
import dovetail.v1.ExecutorServiceGrpc.ExecutorServiceStub;
import dovetail.v1.Goodbye;
import dovetail.v1.Heartbeat;
import dovetail.v1.Hello;
import dovetail.v1.Welcome;
import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;

/**
 * What outlives a stream: the calls that are being carried out, and the results that the server has not recorded.
 *
 * <p>Its monitor guards all of it, and the sending half of the stream, which must not be used by two threads at once.
 */
final class Executor {
  private static final long LEASE_BEFORE_WELCOME = 10_000;

  private final ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor();
  private final ExecutorService threads = Executors.newCachedThreadPool();
  private final Map<String, Future<?>> running = new HashMap<>();
  private final Map<String, CallResult> results = new HashMap<>();
  private final String id;
  private final int maxParallel;

  private long fencingNumber;
  private boolean isDraining;
  private Stream stream;

  Executor(String id, int maxParallel) {
    this.id = id;
    this.maxParallel = maxParallel;
  }

  /** Serves on one stream. Returns null once drained and gone, otherwise why the stream broke or was refused. */
  Throwable attach(ExecutorServiceStub service) {
    var opened = new Stream();
    service.attach(opened);
    synchronized (this) {
      stream = opened;
      // The server sends again what it had given out and we never saw.
      opened.send(
          AttachRequest.newBuilder()
              .setHello(
                  Hello.newBuilder()
                      .setExecutorId(id)
                      .addTools(WordCount.SPEC)
                      .setMaxParallelCalls(maxParallel)
                      .setFencingNumber(fencingNumber)
                      .addAllKnownCallIds(running.keySet())
                      .addAllKnownCallIds(results.keySet())));
      opened.listen(LEASE_BEFORE_WELCOME);
    }
    Throwable end = opened.end.join();
    synchronized (this) {
      opened.close();
    }
    return end;
  }

  /** Takes no further calls, and leaves when those that are out are finished and recorded. */
  synchronized void drain() {
    isDraining = true;
    if (wasWelcomed()) {
      sayDrain();
    }
  }

  /** When this heartbeat has come back, the server has read the drain, and no further call is on its way. */
  private void sayDrain() {
    stream.send(AttachRequest.newBuilder().setDrain(Drain.getDefaultInstance()).setHeartbeat(heartbeat()));
  }

  private Heartbeat heartbeat() {
    return Heartbeat.newBuilder().setNumber(isDraining ? 1 : 0).build();
  }

  /** Whether it was drained and nothing is left to be done. */
  synchronized boolean isDone() {
    return isDraining && running.isEmpty() && results.isEmpty();
  }

  /** Whether the server has welcomed it on its latest stream. */
  synchronized boolean wasWelcomed() {
    return stream != null && stream.pulse != null;
  }

  /** Begins a session, or resumes the one that there was. What we know and the server does not want any more it cancels. */
  private void enter(Welcome welcome) {
    fencingNumber = welcome.getFencingNumber();
    long interval = milliseconds(welcome.getHeartbeatInterval());
    stream.lease = milliseconds(welcome.getLease());
    stream.pulse = clock.scheduleAtFixedRate(this::beat, interval, interval, TimeUnit.MILLISECONDS);
    System.out.printf("serving %s as %s, resumed: %s%n", WordCount.SPEC.getName(), id, welcome.getResumed());
    stream.send(AttachRequest.newBuilder().addAllResults(results.values()));
    if (isDraining) {
      sayDrain();
    }
  }

  private synchronized void beat() {
    stream.send(AttachRequest.newBuilder().setHeartbeat(heartbeat()));
  }

  /** Does what a message says. */
  private synchronized void take(AttachResponse message) {
    if (message.hasWelcome()) {
      enter(message.getWelcome());
    }
    stream.listen(stream.lease);
    message.getCancelledCallIdsList().forEach(this::stop);
    message.getCallsList().forEach(this::begin);
    message.getRecordedCallIdsList().forEach(results::remove);
    message.getRefusedResultsList().forEach(refused -> results.remove(refused.getCallId()));
    stream.isQuiet |= message.getHeartbeat().getNumber() == 1;
    leaveIfDone();
  }

  /** Carries out a call in a thread of its own. The server never has more out than {@code max_parallel_calls}. */
  private void begin(ExecutorCall call) {
    if (running.containsKey(call.getCallId()) || results.containsKey(call.getCallId())) {
      return; // it comes again because a stream broke, and is known already
    }
    running.put(call.getCallId(), threads.submit(() -> finish(call, WordCount.carryOut(call.getArgumentsJson()))));
    if (call.hasTimeout()) {
      var late = WordCount.failure(CallFailure.Kind.KIND_TIMEOUT, "the call took longer than its timeout");
      clock.schedule(() -> finish(call, late), milliseconds(call.getTimeout()), TimeUnit.MILLISECONDS);
    }
  }

  private synchronized void finish(ExecutorCall call, CallOutcome outcome) {
    Future<?> thread = running.remove(call.getCallId());
    if (thread == null) {
      return; // stopped, or finished before its timeout: nobody wants this result
    }
    if (outcome.hasFailure()) {
      thread.cancel(true);
    }
    var result = CallResult.newBuilder().setCallId(call.getCallId()).setOutcome(outcome);
    result.setFencingNumber(call.getFencingNumber());
    results.put(call.getCallId(), result.build()); // kept until it is recorded: the stream may break now
    if (wasWelcomed()) {
      stream.send(AttachRequest.newBuilder().addResults(result));
    }
  }

  private void stop(String call) {
    Future<?> thread = running.remove(call);
    if (thread != null) {
      thread.cancel(true);
    }
    results.remove(call);
  }

  private void leaveIfDone() {
    if (stream.isQuiet && isDone() && !stream.isLeaving) {
      stream.send(AttachRequest.newBuilder().setGoodbye(Goodbye.newBuilder().setReason("drained")));
      stream.isLeaving = true;
      stream.up.onCompleted();
    }
  }

  private static long milliseconds(Duration duration) {
    return duration.getSeconds() * 1_000 + duration.getNanos() / 1_000_000;
  }

  /** One stream, from its hello to its end. */
  private final class Stream implements ClientResponseObserver<AttachRequest, AttachResponse> {
    final CompletableFuture<Throwable> end = new CompletableFuture<>();
    ClientCallStreamObserver<AttachRequest> up;
    long lease = LEASE_BEFORE_WELCOME;
    boolean isQuiet; // no further call will come
    boolean isLeaving;
    ScheduledFuture<?> pulse; // set by the welcome
    private ScheduledFuture<?> silence;

    void send(AttachRequest.Builder message) {
      if (!isLeaving && !end.isDone()) {
        up.onNext(message.build());
      }
    }

    /** Takes the server for lost unless something is heard of it within the time. */
    void listen(long milliseconds) {
      if (silence != null) {
        silence.cancel(false);
      }
      var lost = Status.UNAVAILABLE.withDescription("the server was not heard for " + milliseconds + " ms");
      silence = clock.schedule(() -> end.complete(lost.asRuntimeException()), milliseconds, TimeUnit.MILLISECONDS);
    }

    void close() {
      silence.cancel(false);
      if (pulse != null) {
        pulse.cancel(false);
      }
      up.cancel("the stream is over", null);
    }

    @Override
    public void beforeStart(ClientCallStreamObserver<AttachRequest> requestStream) {
      up = requestStream;
    }

    @Override
    public void onNext(AttachResponse message) {
      take(message);
    }

    @Override
    public void onError(Throwable error) {
      end.complete(error);
    }

    @Override
    public void onCompleted() {
      var ended = Status.UNAVAILABLE.withDescription("the server ended the stream").asRuntimeException();
      end.complete(isLeaving ? null : ended);
    }
  }
}
