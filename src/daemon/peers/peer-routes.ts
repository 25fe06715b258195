import type { HttpRequest, Route } from '../http-service.js';
import type { HandOver } from './hand-over.js';
import { readClaim, readOffer } from './peer-messages.js';

/** What peers may ask; `caller` is the name in their certificate. */
export function peerRoutes(handOver: HandOver): Route[] {
  const route = (verb: string, answer: (guest: string, request: HttpRequest) => object): Route => ({
    method: 'POST',
    path: `/v1/peer/guests/:name/${verb}`,
    handle: (request) => ({ json: answer(request.parameters.name ?? '', request) }),
  });
  return [
    route('knock', (guest, { body }) => handOver.onKnock(guest, readOffer(body))),
    route('offer', (guest, { body, caller = '' }) => {
      return handOver.onOffer(guest, caller, readOffer(body));
    }),
    route('claim', (guest, { body, caller = '' }) => {
      return handOver.onClaim(guest, caller, readClaim(body));
    }),
  ];
}
