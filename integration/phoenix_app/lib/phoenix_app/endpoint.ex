defmodule PhoenixApp.Endpoint do
  @moduledoc """
  The socket at /socket. Any other path is a 404.
  """
  use Phoenix.Endpoint, otp_app: :phoenix_app

  # Phoenix 1.7 takes no notice of auth_token: a token that a client offers there
  # is lost.
  socket "/socket", PhoenixApp.UserSocket,
    websocket: true,
    longpoll: [window_ms: 2_000],
    auth_token: true

  plug :not_found

  defp not_found(conn, _opts), do: Plug.Conn.send_resp(conn, 404, "Not Found")
end
