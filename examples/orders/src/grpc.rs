//! The gRPC half: the same store, the same callers.

use std::pin::Pin;

use axum::Router;
use gateless::Principal;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

use crate::http::caller;
use crate::proto;
use crate::proto::orders_server::{Orders, OrdersServer, SERVICE_NAME};
use crate::store::{Draft, Order, Store, StoreFull};

/// The largest message that is read, in bytes.
const MAX_MESSAGE: usize = 16 * 1024;

/// The service, as tonic mounts it. Which of its methods are for whom stands in `orders.proto`; a path that is not
/// exactly one of them is refused before it gets here.
pub(crate) fn routes(store: Store) -> Router {
    let server = OrdersServer::new(Service { store }).max_decoding_message_size(MAX_MESSAGE);
    Router::new().route_service(&format!("/{SERVICE_NAME}/{{*method}}"), server)
}

#[derive(Debug)]
struct Service {
    store: Store,
}

#[tonic::async_trait]
impl Orders for Service {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<proto::Order, Status>> + Send>>;

    async fn list(
        &self,
        _: Request<proto::ListRequest>,
    ) -> Result<Response<proto::ListResponse>, Status> {
        let orders = self.store.list().into_iter().map(Into::into).collect();
        Ok(Response::new(proto::ListResponse { orders }))
    }

    async fn get(
        &self,
        request: Request<proto::GetRequest>,
    ) -> Result<Response<proto::Order>, Status> {
        let order = self.store.get(request.into_inner().id);
        let order = order.ok_or_else(|| Status::not_found("there is no such order"))?;
        Ok(Response::new(order.into()))
    }

    async fn create(
        &self,
        request: Request<proto::CreateRequest>,
    ) -> Result<Response<proto::Order>, Status> {
        let principal = Principal::of(request.extensions())
            .cloned()
            .map_err(|rejection| Status::internal(rejection.to_string()))?;
        let proto::CreateRequest { item, quantity } = request.into_inner();
        let draft = Draft::new(&item, quantity)
            .map_err(|fault| Status::invalid_argument(fault.to_string()))?;
        let order = self
            .store
            .create(draft, caller(&principal))
            .map_err(|StoreFull| Status::resource_exhausted(StoreFull.to_string()))?;
        Ok(Response::new(order.into()))
    }

    async fn watch(
        &self,
        _: Request<proto::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let placed = self.store.watch();
        let placed = placed.ok_or_else(|| Status::unavailable("the service is shutting down"))?;
        let orders = BroadcastStream::new(placed).map(|placed| {
            placed
                .map(Into::into)
                .map_err(|_| Status::data_loss("orders were missed: the reader is too slow"))
        });
        Ok(Response::new(Box::pin(orders)))
    }
}

impl From<Order> for proto::Order {
    fn from(order: Order) -> Self {
        let Order {
            id,
            item,
            quantity,
            placed_by,
        } = order;
        Self {
            id,
            item,
            quantity,
            placed_by,
        }
    }
}
