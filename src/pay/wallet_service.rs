//! `WalletService`: creating, reading, funding and withdrawing.

use prost::Message;
use tonic::{Request, Response, Status};

use crate::{
    db::Conn,
    error::Result,
    idempotency::{self, Keyed},
    identity::Caller,
    proto::pulpo::{
        pay::v1::{self as pb, wallet_service_server::WalletService},
        r#type::v1::Decimal,
    },
};

use super::{
    Pay, admin,
    input::{DEFAULT_CURRENCY, Input},
    money::decimal,
    wallets::{self, Transfer, WalletRow},
};

/// The most wallets of a page, and as many as there are without a limit.
const LIMIT_MAX: i64 = 1000;

#[tonic::async_trait]
impl WalletService for Pay {
    async fn list_wallets(
        &self,
        request: Request<pb::ListWalletsRequest>,
    ) -> Result<Response<pb::ListWalletsResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(list(self, &caller, request.get_ref()).await?))
    }

    async fn create_wallet(
        &self,
        request: Request<pb::CreateWalletRequest>,
    ) -> Result<Response<pb::CreateWalletResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            create(self, &caller, request.into_inner()).await?,
        ))
    }

    async fn get_wallet(
        &self,
        request: Request<pb::GetWalletRequest>,
    ) -> Result<Response<pb::GetWalletResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            find(self, &caller, request.into_inner()).await?,
        ))
    }

    async fn fund_wallet(
        &self,
        request: Request<pb::FundWalletRequest>,
    ) -> Result<Response<pb::FundWalletResponse>, Status> {
        let caller = Caller::of(&request)?;
        let word = |wallet: WalletRow, amount| pb::FundWalletResponse {
            funded: true,
            agent_id: wallet.agent_id,
            amount,
            new_balance: Some(decimal(wallet.available_minor)),
        };
        Ok(Response::new(
            transfer(self, &caller, Transfer::Fund, request.into_inner(), word).await?,
        ))
    }

    async fn withdraw_wallet(
        &self,
        request: Request<pb::WithdrawWalletRequest>,
    ) -> Result<Response<pb::WithdrawWalletResponse>, Status> {
        let caller = Caller::of(&request)?;
        let pb::WithdrawWalletRequest {
            agent_id,
            amount,
            currency,
            idempotency_key,
        } = request.into_inner();
        let request = pb::FundWalletRequest {
            agent_id,
            amount,
            currency,
            idempotency_key,
        };
        let word = |wallet: WalletRow, amount| pb::WithdrawWalletResponse {
            withdrawn: true,
            agent_id: wallet.agent_id,
            amount,
            new_balance: Some(decimal(wallet.available_minor)),
        };
        Ok(Response::new(
            transfer(self, &caller, Transfer::Withdraw, request, word).await?,
        ))
    }
}

/// A page of the wallets the caller may see.
async fn list(
    pay: &Pay,
    caller: &Caller,
    request: &pb::ListWalletsRequest,
) -> Result<pb::ListWalletsResponse> {
    let mut input = Input::default();
    let limit = input.limit(request.limit, LIMIT_MAX, LIMIT_MAX);
    let offset = input.offset(request.offset);
    input.finish()?;
    let mut conn = pay.db.connection().await?;
    // One more than asked for says whether there are more.
    let page = (limit.saturating_add(1), offset);
    let mut rows = wallets::list(&mut conn, caller.org_id()?, caller.agents()?, page).await?;
    let asked = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = (rows.len() > asked).then_some(true);
    rows.truncate(asked);
    Ok(pb::ListWalletsResponse {
        wallets: rows.into_iter().map(Into::into).collect(),
        has_more,
    })
}

/// A transfer that is well-formed.
struct Order {
    agent_id: String,
    currency: String,
    amount_minor: i64,
    keyed: Option<Keyed>,
}

/// Creates an empty wallet; 409 when the agent has one in that currency.
async fn create(
    pay: &Pay,
    caller: &Caller,
    request: pb::CreateWalletRequest,
) -> Result<pb::CreateWalletResponse> {
    if !request.agent_id.is_empty() {
        caller.require_agent(&request.agent_id)?;
    }
    let (org_id, now) = (caller.org_id()?, pay.clock.now());
    let currency = request.currency.as_deref().unwrap_or(DEFAULT_CURRENCY);
    let row = pay
        .db
        .transaction("pay_create_wallet", async |conn: &mut Conn| {
            admin::create_wallet(conn, org_id, &request.agent_id, currency, 0, now).await
        })
        .await?;
    Ok(pb::CreateWalletResponse {
        wallet: Some(row.into()),
    })
}

async fn find(
    pay: &Pay,
    caller: &Caller,
    request: pb::GetWalletRequest,
) -> Result<pb::GetWalletResponse> {
    caller.require_agent(&request.agent_id)?;
    let mut input = Input::default();
    let currency = input.currency(request.currency.as_deref());
    input.finish()?;
    let mut conn = pay.db.connection().await?;
    let row = wallets::require(&mut conn, caller.org_id()?, &request.agent_id, &currency).await?;
    Ok(pb::GetWalletResponse {
        wallet: Some(row.into()),
    })
}

/// Checks a request; funding and withdrawing ask for the same.
fn read(caller: &Caller, scope: &'static str, request: pb::FundWalletRequest) -> Result<Order> {
    let pb::FundWalletRequest {
        agent_id,
        amount,
        currency,
        idempotency_key,
    } = request;
    caller.require_agent(&agent_id)?;
    let mut input = Input::default();
    input.name("agent_id", &agent_id);
    let amount_minor = input.amount("amount", amount.as_ref());
    let currency = input.currency(currency.as_deref());
    input.finish()?;
    // What all spellings of one request have in common.
    let canonical = pb::FundWalletRequest {
        agent_id: agent_id.clone(),
        amount: Some(decimal(amount_minor)),
        currency: Some(currency.clone()),
        idempotency_key: None,
    };
    let keyed = idempotency_key
        .map(|key| Keyed::new(caller.org_id()?, scope, key, &canonical.encode_to_vec()))
        .transpose()?;
    Ok(Order {
        agent_id,
        currency,
        amount_minor,
        keyed,
    })
}

/// Moves the money and words the answer from the wallet. Repeating it under its idempotency key gives the first answer.
async fn transfer<Reply: Message + Default>(
    pay: &Pay,
    caller: &Caller,
    transfer: Transfer,
    request: pb::FundWalletRequest,
    word: impl Fn(WalletRow, Option<Decimal>) -> Reply + Sync,
) -> Result<Reply> {
    let (scope, name) = match transfer {
        Transfer::Fund => ("pay.fund_wallet", "pay_fund_wallet"),
        Transfer::Withdraw => ("pay.withdraw_wallet", "pay_withdraw_wallet"),
    };
    let order = read(caller, scope, request)?;
    let (org_id, now) = (caller.org_id()?, pay.clock.now());
    pay.db
        .transaction(name, async |conn: &mut Conn| {
            if let Some(first) = idempotency::replay(conn, order.keyed.as_ref(), now).await? {
                return Ok(first);
            }
            let of = (org_id, order.agent_id.as_str(), order.currency.as_str());
            let wallet = wallets::transfer(conn, transfer, of, order.amount_minor, now).await?;
            let reply = word(wallet, Some(decimal(order.amount_minor)));
            idempotency::keep(conn, order.keyed.as_ref(), &reply).await?;
            Ok(reply)
        })
        .await
}
