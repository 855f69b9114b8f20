defmodule PhoenixApp.Application do
  @moduledoc false

  use Application

  @impl true
  def start(_type, _args) do
    children = [
      {Phoenix.PubSub, name: PhoenixApp.PubSub},
      PhoenixApp.Presence,
      PhoenixApp.Endpoint
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: PhoenixApp.Supervisor)
  end
end
