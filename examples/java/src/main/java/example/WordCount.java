package example;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dovetail.v1.CallFailure;
import dovetail.v1.CallOutcome;
import dovetail.v1.ToolSpec;

/** The tool that this executor serves. */
final class WordCount {
  /**
   * What planners are told of the tool. All executors that serve it must give the same spec, byte for byte, in whatever
   * language they are written.
   */
  static final ToolSpec SPEC =
      ToolSpec.newBuilder()
          .setName("word_count")
          .setDescription("How many words a text has.")
          .setInputSchemaJson(
              """
              {"type":"object","properties":{\
              "text":{"type":"string"},\
              "delay_ms":{"type":"integer","minimum":0,"description":"how long to take over it"}\
              },"required":["text"],"additionalProperties":false}""")
          .setOutputSchemaJson("{\"type\":\"integer\"}")
          // It changes nothing: when its executor is lost, the call is made again elsewhere.
          .setReadOnly(true)
          .build();

  private WordCount() {}

  /** Carries out a call. A failure is an outcome like any other: it reaches the model that joins the outputs. */
  static CallOutcome carryOut(String argumentsJson) {
    try {
      return CallOutcome.newBuilder().setOutputJson(count(argumentsJson)).build();
    } catch (InterruptedException stopped) {
      return failure(CallFailure.Kind.KIND_CANCELLED, "the call was cancelled");
    } catch (RuntimeException error) {
      return failure(CallFailure.Kind.KIND_ERROR, error.toString());
    }
  }

  static CallOutcome failure(CallFailure.Kind kind, String message) {
    return CallOutcome.newBuilder().setFailure(CallFailure.newBuilder().setKind(kind).setMessage(message)).build();
  }

  /** Takes a JSON object and returns a JSON value, both as text. The server has checked the object against the schema. */
  private static String count(String argumentsJson) throws InterruptedException {
    JsonObject arguments = JsonParser.parseString(argumentsJson).getAsJsonObject();
    if (arguments.has("delay_ms")) {
      Thread.sleep(arguments.get("delay_ms").getAsLong());
    }
    String text = arguments.get("text").getAsString().strip();
    return Integer.toString(text.isEmpty() ? 0 : text.split("\\s+").length);
  }
}
