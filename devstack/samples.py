"""A person, a device, two templates in two languages and a first notification, to try Clarion with."""

from devstack.client import Client, RefusedError

EMAIL = "ada@example.com"
DEVICE_TOKEN = "sample-device-token-of-ada"  # noqa: S105  an FCM token of the local server
WELCOME = {
    "en": {
        "subject": "Welcome, {{ name }}",
        "html": "<p>Hello <b>{{ name }}</b>, nice to have you here.</p>",
        "text": "Hello {{ name }}, nice to have you here.\n",
    },
    "pt-BR": {
        "subject": "Boas-vindas, {{ name }}",
        "html": "<p>Olá, <b>{{ name }}</b>! Que bom ter você aqui.</p>",
        "text": "Olá, {{ name }}! Que bom ter você aqui.\n",
    },
}
SHIPPED = {
    "en": {"title": "On its way", "body": "Your order {{ order }} has left our warehouse.", "data": {"order": "{{ order }}"}},
    "pt-BR": {"title": "A caminho", "body": "Seu pedido {{ order }} saiu do nosso armazém.", "data": {"order": "{{ order }}"}},
}


async def create_samples(client: Client) -> str:
    """Creates what is missing and answers the person's id. Doing it again changes nothing."""
    page = await client.call("GET", f"/v1/users?email={EMAIL}")
    users = page.get("users", [])
    user = str(users[0]["id"]) if users else await client.create_user(EMAIL, locale="pt-BR", name="Ada")
    await client.call("POST", f"/v1/users/{user}/devices", {"token": DEVICE_TOKEN, "platform": "android"})
    if not await _published(client, "welcome"):
        await client.create_template("welcome", "email", WELCOME, description="The first mail that a new user gets.")
    if not await _published(client, "order-shipped"):
        await client.create_template("order-shipped", "push", SHIPPED, category="orders")
    return user


async def send_sample(client: Client, user: str) -> str:
    """The id of the first notification, which the console's welcome page shows. It is sent when there is none yet."""
    page = await client.call("GET", "/v1/notifications?metadata=sample=welcome&page_size=1")
    for one in page.get("notifications", []):
        return str(one["id"])
    return await client.send(user, "email", "welcome", {"name": "Ada"}, metadata={"sample": "welcome"})


async def _published(client: Client, template: str) -> bool:
    try:
        found = await client.call("GET", f"/v1/templates/{template}")
    except RefusedError as error:
        if error.status == 404:
            return False
        raise
    return bool(found.get("published_version"))
