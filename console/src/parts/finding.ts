// Finding someone by what is known of them.
import { get } from "../api";
import type { ListUsersResponse, User } from "../api-types";
import { asApiError } from "./basics";

// Those who have this address, this id, or this id in the sender's own system, which may look like an address.
export async function find(wanted: string): Promise<readonly User[]> {
  const byAddress = wanted.includes("@") ? await orNone(get<ListUsersResponse>("/v1/users", { email: wanted })) : null;
  if (byAddress?.users?.length) return byAddress.users;
  const byId = await orNone(get<User>(`/v1/users/${encodeURIComponent(wanted)}`));
  return byId ? [byId] : [];
}

// Nothing, for what does not exist and for what can be no address or id.
async function orNone<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (problem) {
    const status = asApiError(problem).status;
    if (status === 404 || status === 400) return null;
    throw problem;
  }
}
