package example;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.IOException;
import java.util.Arrays;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/** Reaches a Dovetail server, and reads why it refuses something. */
final class Connection {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private Connection() {}

  /**
   * Prepares a connection, which is made at the first call.
   *
   * @param server where the server is: HOST:PORT
   * @param authorities a PEM file of the authorities to trust, which turns TLS on; null to do without
   */
  static ManagedChannel open(String server, String authorities) throws IOException {
    ChannelCredentials security =
        authorities == null
            ? InsecureChannelCredentials.create()
            : TlsChannelCredentials.newBuilder().trustManager(new File(authorities)).build();
    var builder = Grpc.newChannelBuilder(server, security);
    // Without pings a server that vanished looks like one that has nothing to say.
    builder.keepAliveTime(20, TimeUnit.SECONDS).keepAliveTimeout(5, TimeUnit.SECONDS);
    String token = System.getenv("DOVETAIL_TOKEN");
    if (token != null && !token.isEmpty()) {
      var headers = new Metadata();
      headers.put(AUTHORIZATION, "Bearer " + token);
      builder.intercept(MetadataUtils.newAttachHeadersInterceptor(headers));
    }
    return builder.build();
  }

  /**
   * The reason of a refusal, a name of the enum ErrorReason in error.proto without its prefix, such as RUN_NOT_FOUND; empty if
   * the error is no refusal of a Dovetail server.
   */
  static String reason(Throwable error) {
    com.google.rpc.Status status = StatusProto.fromThrowable(error);
    if (status == null) {
      return "";
    }
    try {
      for (Any detail : status.getDetailsList()) {
        if (detail.is(ErrorInfo.class) && detail.unpack(ErrorInfo.class).getDomain().equals("dovetail")) {
          return detail.unpack(ErrorInfo.class).getReason();
        }
      }
    } catch (InvalidProtocolBufferException unreadable) {
      // The code and the message are still worth telling.
    }
    return "";
  }

  /** What went wrong: the code and the reason for programs, the message for people. */
  static String explain(Throwable error) {
    if (!(error instanceof StatusRuntimeException)) {
      return String.valueOf(error.getMessage());
    }
    Status status = Status.fromThrowable(error);
    String reason = reason(error);
    return status.getCode() + (reason.isEmpty() ? "" : " (" + reason + ")") + ": " + status.getDescription();
  }

  /**
   * Waits before another attempt, longer after each failure. How long is random, so that many clients which lost a server
   * together do not come back together.
   */
  static void pause(int failures) throws InterruptedException {
    long longest = Math.min(100L << Math.min(failures, 6), 5_000);
    Thread.sleep(ThreadLocalRandom.current().nextLong(longest));
  }

  /** What stands behind {@code --name} on the command line. */
  static String option(String[] arguments, String name, String otherwise) {
    int place = Arrays.asList(arguments).indexOf("--" + name);
    return place >= 0 && place + 1 < arguments.length ? arguments[place + 1] : otherwise;
  }
}
