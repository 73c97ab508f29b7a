// The role that a person was given, and giving another one.
import { useSignal } from "@preact/signals";
import { post } from "../api";
import type { AssignRoleResponse, ListRolesResponse, User } from "../api-types";
import { may } from "../session";
import { words } from "../words";
import { Dialog, Skeleton } from "./basics";
import { useRead } from "./reading";

const say = words.roles;

export function AssignRole({ of, onDone }: { of: User; onDone: () => void }) {
  const asking = useSignal(false);
  if (!may("roles:write") || !may("roles:read")) return null;
  return (
    <>
      <button type="button" onClick={() => (asking.value = true)}>
        {say.assign}
      </button>
      {asking.value && <Choose of={of} onDone={onDone} onClose={() => (asking.value = false)} />}
    </>
  );
}

function Choose({ of, onDone, onClose }: { of: User; onDone: () => void; onClose: () => void }) {
  const read = useRead<ListRolesResponse>("/v1/roles", { page_size: 200 });
  const roles = read.value?.roles ?? [];
  const assign = async (form: HTMLFormElement) => {
    await post<AssignRoleResponse>(`/v1/users/${encodeURIComponent(of.id ?? "")}:assignRole`, { role: new FormData(form).get("role") });
    onDone();
  };
  return (
    <Dialog title={say.assignAsk} action={say.assignIt} ready={read.value !== null} onDo={assign} onClose={onClose}>
      <p>{say.assignText}</p>
      {read.error && <p class="problem">{read.error.message}</p>}
      {read.value === null && !read.error && <Skeleton rows={1} />}
      {read.value !== null && (
        <label>
          {say.role}
          <select name="role" defaultValue={of.assigned_role ?? ""}>
            <option value="">{say.noneAssigned}</option>
            {roles.map((role) => (
              <option key={role.id} value={role.id}>
                {role.description ? `${role.id}: ${role.description}` : role.id}
              </option>
            ))}
          </select>
        </label>
      )}
      {read.value !== null && roles.length === 0 && <p class="quiet">{say.noRoles}</p>}
    </Dialog>
  );
}
