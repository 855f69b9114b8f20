import Config

{:ok, ip} =
  "IP"
  |> System.get_env("127.0.0.1")
  |> String.to_charlist()
  |> :inet.parse_address()

adapter =
  case System.get_env("ADAPTER", "bandit") do
    "bandit" -> Bandit.PhoenixAdapter
    "cowboy" -> Phoenix.Endpoint.Cowboy2Adapter
  end

config :phoenix_app, PhoenixApp.Endpoint,
  adapter: adapter,
  http: [ip: ip, port: String.to_integer(System.get_env("PORT", "4000"))]
