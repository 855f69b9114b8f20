import Config

config :phoenix_app, PhoenixApp.Endpoint,
  url: [host: "localhost"],
  render_errors: [formats: [json: PhoenixApp.ErrorJSON], layout: false],
  pubsub_server: PhoenixApp.PubSub,
  # The tests are no browser, and their tokens are signed with this secret. It
  # protects nothing.
  check_origin: false,
  secret_key_base: String.duplicate("a1b2c3d4", 8)

# Channels that crash on purpose are told at :error; the rest is silent.
config :logger, level: :warning

config :phoenix, :json_library, Jason
