//! The rows of payments.

use prost::Message;
use pulpo::proto::pulpo::{pay::v1 as pay, r#type::v1::Decimal};
use tonic::Code;
use uuid::Uuid;

use super::{
    Row, agents, pay_data,
    rows::{HIDDEN, empty, row},
    world::{AGENT, World},
};

fn amount() -> Option<Decimal> {
    Some(Decimal {
        value: "1.00".to_owned(),
    })
}

fn request(_: &World) -> Vec<u8> {
    pay::RequestPaymentRequest {
        requesting_agent_id: AGENT.to_owned(),
        amount: amount(),
        tx_type: "vendor_payment".to_owned(),
        ..Default::default()
    }
    .encode_to_vec()
}

fn dry_run(_: &World) -> Vec<u8> {
    pay::DryRunPaymentRequest {
        requesting_agent_id: AGENT.to_owned(),
        amount: amount(),
        tx_type: "vendor_payment".to_owned(),
        ..Default::default()
    }
    .encode_to_vec()
}

/// Most methods of a payment ask for nothing but its id.
fn held(world: &World) -> Vec<u8> {
    pay::DisputePaymentRequest {
        id: world.held_id.clone(),
        reason: None,
    }
    .encode_to_vec()
}

fn pending(world: &World) -> Vec<u8> {
    pay::RejectPaymentRequest {
        id: world.pending_id.clone(),
        reason: None,
    }
    .encode_to_vec()
}

fn open_wallet(_: &World) -> Vec<u8> {
    pay::CreateWalletRequest {
        agent_id: AGENT.to_owned(),
        currency: Some("EUR".to_owned()),
    }
    .encode_to_vec()
}

/// The rows of human review and escrow, as in [`rows`].
fn change_rows() -> Vec<Row> {
    let refused = |method, ask| -> Bound { (method, HIDDEN, Code::PermissionDenied, ask) };
    let rows = [
        refused("/pulpo.pay.v1.ReviewService/ApprovePayment", pending),
        refused("/pulpo.pay.v1.ReviewService/RejectPayment", pending),
        refused("/pulpo.pay.v1.EscrowService/DisputePayment", held),
        refused("/pulpo.pay.v1.EscrowService/ReleasePayment", held),
        refused("/pulpo.pay.v1.EscrowService/RefundPayment", held),
    ];
    rows.into_iter().map(bounded).collect()
}

/// Reading a payment and reading its history ask for the same.
fn payment(world: &World) -> Vec<u8> {
    pay::GetPaymentRequest {
        id: world.transaction_id.clone(),
    }
    .encode_to_vec()
}

fn wallet(_: &World) -> Vec<u8> {
    pay::GetWalletRequest {
        agent_id: AGENT.to_owned(),
        currency: None,
    }
    .encode_to_vec()
}

/// Funding and withdrawing ask for the same.
fn transfer(_: &World) -> Vec<u8> {
    pay::FundWalletRequest {
        agent_id: AGENT.to_owned(),
        amount: amount(),
        ..Default::default()
    }
    .encode_to_vec()
}

fn create(_: &World) -> Vec<u8> {
    pay::CreatePolicyRequest {
        policy_name: Some("One".to_owned()),
        agent_id: Some(Uuid::new_v4().to_string()),
        ..Default::default()
    }
    .encode_to_vec()
}

fn backtest(_: &World) -> Vec<u8> {
    pay::BacktestPolicyRequest {
        policy: Some(pay::CreatePolicyRequest {
            agent_id: Some(Uuid::new_v4().to_string()),
            ..Default::default()
        }),
        ..Default::default()
    }
    .encode_to_vec()
}

fn update(world: &World) -> Vec<u8> {
    let policy = pay::PolicyChange {
        policy_name: Some("Renamed".to_owned()),
        ..Default::default()
    };
    pay::UpdatePolicyRequest {
        id: world.policy_id.clone(),
        policy: Some(policy),
        update_mask: None,
    }
    .encode_to_vec()
}

fn delete(world: &World) -> Vec<u8> {
    pay::DeletePolicyRequest {
        id: world.policy_id.clone(),
    }
    .encode_to_vec()
}

fn register(_: &World) -> Vec<u8> {
    pay::RegisterWebhookRequest {
        url: "https://example.com/hooks".to_owned(),
        events: vec!["payment.settled".to_owned()],
        agent_filter: vec![AGENT.to_owned()],
        ..Default::default()
    }
    .encode_to_vec()
}

fn rename(world: &World) -> Vec<u8> {
    let webhook = pay::WebhookChange {
        description: Some("Renamed".to_owned()),
        ..Default::default()
    };
    pay::UpdateWebhookRequest {
        id: world.webhook_id.clone(),
        webhook: Some(webhook),
        update_mask: None,
    }
    .encode_to_vec()
}

/// Most methods of an endpoint ask for nothing but its id.
fn webhook(world: &World) -> Vec<u8> {
    pay::DeleteWebhookRequest {
        id: world.webhook_id.clone(),
    }
    .encode_to_vec()
}

fn delivery(world: &World) -> Vec<u8> {
    pay::GetWebhookDeliveryRequest {
        id: world.webhook_id.clone(),
        delivery_id: world.delivery_id.clone(),
    }
    .encode_to_vec()
}

/// A method, what a key of another organisation and one of another agent are told, and the request.
pub(super) type Bound = (&'static str, Option<Code>, Code, fn(&World) -> Vec<u8>);

/// The rows of webhooks, as in [`rows`].
fn webhook_rows() -> Vec<Row> {
    let rows: [Bound; 9] = [
        (
            "/pulpo.pay.v1.WebhookService/ListWebhooks",
            None,
            Code::Ok,
            empty,
        ),
        (
            "/pulpo.pay.v1.WebhookService/RegisterWebhook",
            None,
            Code::PermissionDenied,
            register,
        ),
        (
            "/pulpo.pay.v1.WebhookService/UpdateWebhook",
            HIDDEN,
            Code::PermissionDenied,
            rename,
        ),
        (
            "/pulpo.pay.v1.WebhookService/DeleteWebhook",
            HIDDEN,
            Code::PermissionDenied,
            webhook,
        ),
        (
            "/pulpo.pay.v1.WebhookService/ListWebhookDeliveries",
            HIDDEN,
            Code::PermissionDenied,
            webhook,
        ),
        (
            "/pulpo.pay.v1.WebhookService/GetWebhookDelivery",
            HIDDEN,
            Code::PermissionDenied,
            delivery,
        ),
        (
            "/pulpo.pay.v1.WebhookService/TestWebhook",
            HIDDEN,
            Code::PermissionDenied,
            webhook,
        ),
        (
            "/pulpo.pay.v1.WebhookService/ReplayWebhook",
            HIDDEN,
            Code::PermissionDenied,
            webhook,
        ),
        (
            "/pulpo.pay.v1.WebhookService/RotateWebhookSecret",
            HIDDEN,
            Code::PermissionDenied,
            webhook,
        ),
    ];
    rows.into_iter().map(bounded).collect()
}

pub(super) fn bounded((method, foreign, bound, ask): Bound) -> Row {
    Row {
        bound: Some(bound),
        ..row(method, Code::Ok, foreign, ask)
    }
}

/// The methods with what another organisation's key and a key bound to another agent get; lists show the latter nothing
/// of this agent.
pub(super) fn rows() -> Vec<Row> {
    type Ask = fn(&World) -> Vec<u8>;
    const REFUSED: Code = Code::PermissionDenied;
    let rows: [(&'static str, Option<Code>, Code, Ask); 17] = [
        // A stranger's agent of the same name is another agent: no policy, so denied, which is an ordinary answer.
        (
            "/pulpo.pay.v1.PaymentService/RequestPayment",
            Some(Code::Ok),
            REFUSED,
            request,
        ),
        (
            "/pulpo.pay.v1.PaymentService/DryRunPayment",
            Some(Code::Ok),
            REFUSED,
            dry_run,
        ),
        (
            "/pulpo.pay.v1.WalletService/CreateWallet",
            Some(Code::Ok),
            REFUSED,
            open_wallet,
        ),
        (
            "/pulpo.pay.v1.PaymentService/ListPayments",
            None,
            Code::Ok,
            empty,
        ),
        (
            "/pulpo.pay.v1.PaymentService/GetPayment",
            HIDDEN,
            REFUSED,
            payment,
        ),
        (
            "/pulpo.pay.v1.PaymentService/ListPaymentEvents",
            HIDDEN,
            REFUSED,
            payment,
        ),
        (
            "/pulpo.pay.v1.WalletService/ListWallets",
            None,
            Code::Ok,
            empty,
        ),
        (
            "/pulpo.pay.v1.WalletService/GetWallet",
            HIDDEN,
            REFUSED,
            wallet,
        ),
        (
            "/pulpo.pay.v1.WalletService/FundWallet",
            HIDDEN,
            REFUSED,
            transfer,
        ),
        (
            "/pulpo.pay.v1.WalletService/WithdrawWallet",
            HIDDEN,
            REFUSED,
            transfer,
        ),
        (
            "/pulpo.pay.v1.PolicyService/ListPolicies",
            None,
            Code::Ok,
            empty,
        ),
        (
            "/pulpo.pay.v1.PolicyService/CreatePolicy",
            None,
            REFUSED,
            create,
        ),
        (
            "/pulpo.pay.v1.PolicyService/BacktestPolicy",
            None,
            REFUSED,
            backtest,
        ),
        (
            "/pulpo.pay.v1.PolicyService/UpdatePolicy",
            HIDDEN,
            REFUSED,
            update,
        ),
        (
            "/pulpo.pay.v1.PolicyService/DeletePolicy",
            HIDDEN,
            REFUSED,
            delete,
        ),
        (
            "/pulpo.pay.v1.PlatformService/CheckHealth",
            None,
            Code::Ok,
            empty,
        ),
        (
            "/pulpo.pay.v1.PlatformService/GetMeta",
            None,
            Code::Ok,
            empty,
        ),
    ];
    rows.into_iter()
        .map(bounded)
        .chain(webhook_rows())
        .chain(agents::rows())
        .chain(pay_data::rows())
        .chain(change_rows())
        .collect()
}
