//! `WalletService`: reading, funding and withdrawing.

use prost::Message;
use tonic::{Request, Response, Status};

use crate::{
    db::Conn,
    error::{Error, Result},
    idempotency::{self, Keyed},
    identity::Caller,
    proto::pulpo::{
        pay::v1::{self as pb, wallet_service_server::WalletService},
        r#type::v1::Decimal,
    },
};

use super::{Pay, input::Input, money::decimal, wallets};

#[tonic::async_trait]
impl WalletService for Pay {
    async fn list_wallets(
        &self,
        request: Request<pb::ListWalletsRequest>,
    ) -> Result<Response<pb::ListWalletsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut conn = self.db.connection().await?;
        let rows = wallets::list(&mut conn, caller.org_id()?)
            .await
            .map_err(Error::from)?;
        Ok(Response::new(pb::ListWalletsResponse {
            wallets: rows.into_iter().map(Into::into).collect(),
        }))
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
        Ok(Response::new(
            fund(self, &caller, request.into_inner()).await?,
        ))
    }

    async fn withdraw_wallet(
        &self,
        request: Request<pb::WithdrawWalletRequest>,
    ) -> Result<Response<pb::WithdrawWalletResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            withdraw(self, &caller, request.into_inner()).await?,
        ))
    }
}

/// A change of a wallet that is well-formed.
struct Change {
    agent_id: String,
    currency: String,
    amount_minor: i64,
    keyed: Option<Keyed>,
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

fn read(
    caller: &Caller,
    scope: &'static str,
    agent_id: String,
    amount: Option<Decimal>,
    currency: Option<String>,
    key: Option<String>,
) -> Result<Change> {
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
    let keyed = key
        .map(|key| Keyed::new(caller.org_id()?, scope, key, &canonical.encode_to_vec()))
        .transpose()?;
    Ok(Change {
        agent_id,
        currency,
        amount_minor,
        keyed,
    })
}

/// Adds money from outside. Repeating it under its idempotency key gives the first answer.
async fn fund(
    pay: &Pay,
    caller: &Caller,
    request: pb::FundWalletRequest,
) -> Result<pb::FundWalletResponse> {
    let pb::FundWalletRequest {
        agent_id,
        amount,
        currency,
        idempotency_key,
    } = request;
    let change = read(
        caller,
        "pay.fund_wallet",
        agent_id,
        amount,
        currency,
        idempotency_key,
    )?;
    let (org_id, now) = (caller.org_id()?, pay.clock.now());
    pay.db
        .transaction("pay_fund_wallet", async |conn: &mut Conn| {
            if let Some(first) = idempotency::replay(conn, change.keyed.as_ref(), now).await? {
                return Ok(first);
            }
            let wallet = wallets::fund(
                conn,
                org_id,
                &change.agent_id,
                &change.currency,
                change.amount_minor,
                now,
            )
            .await?;
            let reply = pb::FundWalletResponse {
                funded: true,
                agent_id: wallet.agent_id,
                amount: Some(decimal(change.amount_minor)),
                new_balance: Some(decimal(wallet.available_minor)),
            };
            idempotency::keep(conn, change.keyed.as_ref(), &reply).await?;
            Ok(reply)
        })
        .await
}

/// Takes money out. Repeating it under its idempotency key gives the first answer.
async fn withdraw(
    pay: &Pay,
    caller: &Caller,
    request: pb::WithdrawWalletRequest,
) -> Result<pb::WithdrawWalletResponse> {
    let pb::WithdrawWalletRequest {
        agent_id,
        amount,
        currency,
        idempotency_key,
    } = request;
    let change = read(
        caller,
        "pay.withdraw_wallet",
        agent_id,
        amount,
        currency,
        idempotency_key,
    )?;
    let (org_id, now) = (caller.org_id()?, pay.clock.now());
    pay.db
        .transaction("pay_withdraw_wallet", async |conn: &mut Conn| {
            if let Some(first) = idempotency::replay(conn, change.keyed.as_ref(), now).await? {
                return Ok(first);
            }
            let wallet = wallets::withdraw(
                conn,
                org_id,
                &change.agent_id,
                &change.currency,
                change.amount_minor,
                now,
            )
            .await?;
            let reply = pb::WithdrawWalletResponse {
                withdrawn: true,
                agent_id: wallet.agent_id,
                amount: Some(decimal(change.amount_minor)),
                new_balance: Some(decimal(wallet.available_minor)),
            };
            idempotency::keep(conn, change.keyed.as_ref(), &reply).await?;
            Ok(reply)
        })
        .await
}
