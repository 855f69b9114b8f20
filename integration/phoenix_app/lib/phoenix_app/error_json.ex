defmodule PhoenixApp.ErrorJSON do
  @moduledoc """
  What a client is told when its connect/3 raises.
  """

  def render(template, _assigns) do
    %{errors: %{detail: Phoenix.Controller.status_message_from_template(template)}}
  end
end
