//! Calls of registered agents, and callbacks.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{super::is_instant, Runs};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_called_signed_and_its_answer_kept_digit_for_digit() {
    let runs = Runs::open().await;
    let secret = runs.register("own-agent", json!({})).await;
    let output = r#"{"b": 1.00000000000000000000001, "a": [null], "nul": "\u0000"}"#;
    runs.receiver.text(output);
    let body = json!({"agent": "own-agent", "input": {"sku": "X-1"}, "priority": "low"});
    let run_id = runs.trigger(body).await;
    runs.work().await;
    let received = runs.receiver.take();
    assert_eq!(received.len(), 1);
    let call = &received[0];
    call.is_signed_with(&secret);
    assert_eq!(call.standard_signatures_of(&secret), 1);
    assert_eq!(call.path, "/agent");
    for (header, value) in [
        ("webhook-id", run_id.as_str()),
        ("x-pulse-event", "agent.run"),
        ("x-pulse-retry-count", "0"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(call.header(header), value, "{header}");
    }
    assert_eq!(
        call.json(),
        json!({"run_id": run_id, "agent": "own-agent", "priority": "low", "input": {"sku": "X-1"},
               "created_at": "2026-04-14T12:00:00.000Z"})
    );
    let run = runs.status(&run_id).await;
    assert_eq!(run.json["status"], "completed");
    assert!(run.text.contains(output), "{}", run.text);
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_tried_again_and_then_end_the_run() {
    let runs = Runs::open().await;
    runs.register("own-agent", json!({"max_attempts": 3})).await;
    let run_id = runs.trigger(json!({"agent": "own-agent"})).await;
    runs.receiver.answer_with(&[503, 429]);
    runs.work().await;
    let waiting = runs.status(&run_id).await;
    assert_eq!(waiting.json["status"], "running");
    assert_eq!(runs.receiver.take().len(), 1, "not before its pause");
    for pause in [5, 10] {
        runs.pass(TimeDelta::seconds(pause));
        runs.work().await;
    }
    let received = runs.receiver.take();
    let told: Vec<_> = received
        .iter()
        .map(|one| (one.header("webhook-id"), one.header("x-pulse-retry-count")))
        .collect();
    assert_eq!(told, [(run_id.as_str(), "1"), (run_id.as_str(), "2")]);
    let done = runs.status(&run_id).await;
    assert_eq!(done.json["status"], "completed", "{}", done.text);
    assert_eq!(done.json["duration_ms"], 15_000);

    runs.receiver.always(500);
    runs.receiver.text("out of order");
    let run_id = runs.trigger(json!({"agent": "own-agent"})).await;
    for pause in [0, 5, 10, 20, 40] {
        runs.pass(TimeDelta::seconds(pause));
        runs.work().await;
    }
    assert_eq!(runs.receiver.take().len(), 3);
    let failed = runs.status(&run_id).await;
    assert_eq!(
        (
            &failed.json["status"],
            &failed.json["error"],
            &failed.json["output"]
        ),
        (
            &json!("failed"),
            &json!("The agent answered 500: out of order"),
            &Value::Null
        )
    );
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_final_is_not_asked_for_again() {
    let runs = Runs::open().await;
    runs.register("own-agent", json!({})).await;
    let large = format!("\"{}\"", "x".repeat(1024 * 1024));
    for (status, text, error) in [
        (404, "gone", "The agent answered 404: gone"),
        (302, "", "The agent answered 302"),
        (200, "thanks", "no JSON"),
        (200, large.as_str(), "larger than"),
    ] {
        runs.receiver.always(status);
        runs.receiver.text(text);
        let run_id = runs.trigger(json!({"agent": "own-agent"})).await;
        runs.work().await;
        let run = runs.status(&run_id).await;
        assert_eq!(run.json["status"], "failed", "{status}");
        assert!(run.str("/error").contains(error), "{}", run.text);
        assert_eq!(runs.receiver.take().len(), 1);
    }
    // No body is an answer too.
    runs.receiver.always(204);
    runs.receiver.text("");
    let output = runs.output(json!({"agent": "own-agent"})).await;
    assert_eq!(output, Value::Null);
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_answer_or_was_removed_fails_the_run() {
    let runs = Runs::open().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let over = json!({"url": url, "timeout_seconds": 1, "max_attempts": 1});
    runs.register("silent-agent", over).await;
    let run_id = runs.trigger(json!({"agent": "silent-agent"})).await;
    runs.work().await;
    let run = runs.status(&run_id).await;
    assert!(
        run.str("/error").contains("no answer within 1 seconds"),
        "{}",
        run.text
    );

    let run_id = runs.trigger(json!({"agent": "silent-agent"})).await;
    let gone = runs.desk.api().delete("/agents/silent-agent").await;
    gone.expect_status(200);
    // The next one of the name is another agent.
    runs.register("silent-agent", json!({})).await;
    runs.work().await;
    let run = runs.status(&run_id).await;
    assert!(run.str("/error").contains("removed"), "{}", run.text);
    assert!(runs.receiver.take().is_empty());
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_told_to_the_callback_signed() {
    let runs = Runs::open().await;
    let api = runs.desk.api();
    let made = api.post("/agents/callback-secret", &json!({})).await;
    let made = made.expect(200, "{secret previous_valid_until}");
    assert_eq!(made.json["previous_valid_until"], Value::Null);
    let callback = runs.receiver.url("/callback");
    let body = json!({"agent": "market-analyzer", "input": {"region": "north"}, "callback_webhook": callback});
    let run_id = runs.trigger(body).await;
    runs.receiver.answer_with(&[500]);
    runs.work().await;
    // It is told again until it is taken; nobody else is asked to compute again.
    runs.pass(TimeDelta::seconds(5));
    runs.work().await;
    let received = runs.receiver.take();
    assert_eq!(received.len(), 2);
    for (one, retry) in received.iter().zip(["0", "1"]) {
        one.is_signed_with(made.str("/secret"));
        assert_eq!(one.path, "/callback");
        assert_eq!(one.header("webhook-id"), run_id);
        assert_eq!(one.header("x-pulse-event"), "agent.run.completed");
        assert_eq!(one.header("x-pulse-retry-count"), retry);
        assert_eq!(one.body, received[0].body);
    }
    let told = received[0].json();
    assert_eq!(
        json!([told["event"], told["event_id"], told["version"]]),
        json!(["agent.run.completed", run_id, "2026-04-01"])
    );
    is_instant(told["timestamp"].as_str().unwrap());
    assert_eq!(told["data"], runs.status(&run_id).await.json);

    // A failure is told as well; after a rotation both secrets sign for a day.
    let rotated = api.post("/agents/callback-secret", &json!({})).await;
    is_instant(rotated.str("/previous_valid_until"));
    let body = json!({"agent": "compliance-scanner", "callback_webhook": callback});
    runs.trigger(body.clone()).await;
    runs.work().await;
    let received = runs.receiver.take();
    assert_eq!(received[0].header("x-pulse-event"), "agent.run.failed");
    let error = received[0].json()["data"]["error"].clone();
    assert!(error.as_str().unwrap().contains("jurisdictions"), "{error}");
    received[0].is_signed_with(rotated.str("/secret"));
    let signed = |one: &super::super::webhooks::receiver::Received| {
        [&made, &rotated].map(|reply| one.standard_signatures_of(reply.str("/secret")))
    };
    assert_eq!(signed(&received[0]), [1, 1]);
    runs.pass(TimeDelta::hours(24));
    runs.trigger(body).await;
    runs.work().await;
    assert_eq!(signed(&runs.receiver.take()[0]), [0, 1]);
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_nobody_takes_is_given_up() {
    let runs = Runs::open().await;
    runs.receiver.always(500);
    let callback = runs.receiver.url("/callback");
    let body = json!({"agent": "market-analyzer", "callback_webhook": callback});
    let run_id = runs.trigger(body.clone()).await;
    for _ in 0..12 {
        runs.work().await;
        runs.pass(TimeDelta::hours(1));
    }
    assert_eq!(runs.receiver.take().len(), 10);
    assert_eq!(runs.status(&run_id).await.json["status"], "completed");
    // 410 wants no more.
    runs.receiver.always(410);
    runs.trigger(body).await;
    runs.work().await;
    runs.pass(TimeDelta::hours(1));
    runs.work().await;
    assert_eq!(runs.receiver.take().len(), 1);
    runs.close().await;
}

/// An agent has its whole time, for the body too.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_come_slowly() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let runs = Runs::open().await;
    let slow = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", slow.local_addr().unwrap());
    runs.register("own-agent", json!({"url": url, "timeout_seconds": 20}))
        .await;
    let answering = tokio::spawn(async move {
        let (mut call, _) = slow.accept().await.unwrap();
        let mut request = [0; 1024];
        assert_ne!(call.read(&mut request).await.unwrap(), 0);
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"a\"";
        call.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(6)).await;
        call.write_all(b":1}").await.unwrap();
    });
    let run_id = runs.trigger(json!({"agent": "own-agent"})).await;
    runs.work().await;
    answering.await.unwrap();
    let run = runs.status(&run_id).await;
    assert_eq!(run.json["output"], json!({"a": 1}), "{}", run.text);
    runs.close().await;
}
