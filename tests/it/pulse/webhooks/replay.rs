//! Beyond the document: sending what was missed, and new secrets.

use chrono::TimeDelta;
use serde_json::json;

use super::{
    super::{is_id, refused, refused_field},
    Hooks, kinds,
};

#[tokio::test]
async fn what_was_missed_is_replayed_once() {
    let hooks = Hooks::open().await;
    let (id, secret) = hooks
        .register(&["payment.authorized", "payment.settled"])
        .await;
    let replay = async |body| {
        hooks
            .desk
            .api()
            .post(&format!("/webhooks/{id}/replay"), &body)
            .await
    };
    let replayed =
        async |body| replay(body).await.expect(200, "{replayed}").json["replayed"].clone();
    hooks.pay().await;
    hooks.settle().await;
    assert_eq!(hooks.receiver.take().len(), 2);
    assert_eq!(replayed(json!({})).await, 0);

    hooks.pass(TimeDelta::minutes(1));
    let path = format!("/webhooks/{id}");
    hooks
        .desk
        .api()
        .patch(&path, &json!({"status": "disabled"}))
        .await
        .expect_status(200);
    let missed = hooks.pay().await;
    hooks.settle().await;
    refused(&replay(json!({})).await, 400, "bad_request");
    hooks
        .desk
        .api()
        .patch(&path, &json!({"status": "active"}))
        .await
        .expect_status(200);
    // Not yet read by anybody: it comes by itself, not twice.
    hooks.pass(TimeDelta::minutes(1));
    hooks.pay().await;
    assert_eq!(replayed(json!({"until": "2026-04-14T12:00:30Z"})).await, 0);
    assert_eq!(replayed(json!({"since": "2026-04-14T12:02:00Z"})).await, 0);
    assert_eq!(replayed(json!({"since": "2026-04-14T12:00:30Z"})).await, 2);
    assert_eq!(replayed(json!({})).await, 0, "it is on its way");
    hooks.settle().await;
    let received = hooks.receiver.take();
    assert_eq!(received.len(), 4);
    let of_missed: Vec<_> = received
        .iter()
        .filter(|one| one.json()["data"]["transaction_id"] == missed)
        .cloned()
        .collect();
    assert_eq!(kinds(&of_missed), ["payment.authorized", "payment.settled"]);
    received[0].is_signed_with(&secret);
    assert_eq!(replayed(json!({})).await, 0);

    for (body, field) in [
        (json!({"since": "yesterday"}), "since"),
        (json!({"until": "2026-13-01"}), "until"),
        (
            json!({"since": "2026-04-15", "until": "2026-04-14"}),
            "since",
        ),
    ] {
        refused_field(&replay(body).await, field);
    }
    hooks.close().await;
}

#[tokio::test]
async fn deliveries_that_failed_are_replayed_with_their_own_event_id() {
    let hooks = Hooks::open().await;
    let (id, _) = hooks.register(&["payment.settled"]).await;
    hooks.receiver.answer_with(&[410]);
    hooks.pay().await;
    hooks.settle().await;
    let first = hooks.receiver.take().remove(0);
    hooks
        .desk
        .api()
        .patch(&format!("/webhooks/{id}"), &json!({"status": "active"}))
        .await
        .expect_status(200);
    let reply = hooks
        .desk
        .api()
        .post(&format!("/webhooks/{id}/replay"), &json!({}))
        .await;
    assert_eq!(reply.json["replayed"], 1);
    hooks.settle().await;
    let again = hooks.receiver.take().remove(0);
    assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
    assert_ne!(
        again.header("x-pulse-delivery-id"),
        first.header("x-pulse-delivery-id")
    );
    assert_eq!(again.body, first.body);
    // What is older than the history is known is left alone.
    hooks.pass(TimeDelta::days(31));
    let reply = hooks
        .desk
        .api()
        .post(
            &format!("/webhooks/{id}/replay"),
            &json!({"since": "2026-04-14"}),
        )
        .await;
    assert_eq!(reply.json["replayed"], 0);
    hooks.close().await;
}

#[tokio::test]
async fn both_secrets_sign_during_the_overlap() {
    let hooks = Hooks::open().await;
    let (id, old) = hooks.register(&["payment.settled"]).await;
    let rotate = async || {
        let reply = hooks
            .desk
            .api()
            .post(&format!("/webhooks/{id}/rotate-secret"), &json!({}))
            .await;
        reply.expect(200, "{secret previous_valid_until}")
    };
    let reply = rotate().await;
    let new = reply.str("/secret").to_owned();
    is_id(&new, "", 64);
    assert_eq!(
        reply.str("/previous_valid_until"),
        "2026-04-15T12:00:00.000Z"
    );
    let receive = async || {
        hooks.pay().await;
        hooks.settle().await;
        hooks.receiver.take().remove(0)
    };
    let one = receive().await;
    one.is_signed_with(&new);
    assert_eq!(one.header("webhook-signature").split(' ').count(), 2);
    assert_eq!(
        (
            one.standard_signatures_of(&new),
            one.standard_signatures_of(&old)
        ),
        (1, 1)
    );

    // Rotated again, the newest two sign.
    let newest = rotate().await.str("/secret").to_owned();
    let one = receive().await;
    one.is_signed_with(&newest);
    let signatures = [&newest, &new, &old].map(|secret| one.standard_signatures_of(secret));
    assert_eq!(signatures, [1, 1, 0]);

    hooks.pass(TimeDelta::hours(24));
    let one = receive().await;
    one.is_signed_with(&newest);
    assert_eq!(one.header("webhook-signature").split(' ').count(), 1);
    hooks.close().await;
}

/// What an endpoint does not want is not counted among what it missed, however much of it there is.
#[tokio::test]
async fn what_others_were_paid_does_not_hide_what_was_missed() {
    let hooks = Hooks::open().await;
    let over = json!({"events": ["payment.settled"], "agent_filter": ["agent-own"]});
    let (id, _) = hooks.register_with(over).await;
    let path = format!("/webhooks/{id}");
    let set = async |status: &str| {
        let body = json!({"status": status});
        let patched = hooks.desk.api().patch(&path, &body).await;
        patched.expect_status(200);
    };
    set("disabled").await;
    hooks.pass(TimeDelta::minutes(1));
    hooks.pay().await;
    let many = "INSERT INTO events (org_id, kind, subject, payload, created_at) SELECT org_id, kind, subject, payload, created_at \
         FROM events, generate_series(1, 10000) WHERE kind = 'payment.settled'";
    hooks.desk.app.sql(many).await;
    let own = json!({"amount": 1, "counterparty_agent_id": "agent-own"});
    let own = hooks.desk.pay(own).await.expect_status(200);
    hooks.settle().await;
    set("active").await;
    let replay = || async {
        let path = format!("{path}/replay");
        let replayed = hooks.desk.api().post(&path, &json!({})).await;
        replayed.expect_status(200).json["replayed"].clone()
    };
    assert_eq!(replay().await, 1);
    assert_eq!(replay().await, 0);
    hooks.settle().await;
    let received = hooks.receiver.take();
    assert_eq!(received.len(), 1);
    let paid = &received[0].json()["data"]["transaction_id"];
    assert_eq!(*paid, own.json["transaction_id"]);
    hooks.close().await;
}
